"""The gap verdicts over real connections: each shown when it must come, and silent when it must not."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.tools.clients import Block, SSEClient
from tests.tools.serving import Server, serve, together

PATH = "/api/v1/stream?channel=a"


def resume(server: Server, last_event_id: str, path: str = PATH) -> list[Block]:
    """Return the first blocks up to ``connected``: the gap, if there is one, and ``connected``."""
    with SSEClient(server.port, path, last_event_id=last_event_id) as client:
        blocks = [client.next()]
        while blocks[-1] is not None and blocks[-1].type != "connected":
            blocks.append(client.next())
        return [block for block in blocks if block is not None]


def reason_of(blocks: list[Block]) -> str | None:
    return blocks[0].json["reason"] if blocks[0].type == "gap" else None


@pytest.mark.parametrize(
    "garbage",
    [
        "x",
        "0",
        "1" * 400,
        "1763690000123-4",
        "١٧٦٣٦٩٠٠٠٠١٢٣-٤-9f3a2c1b",
        "1763690000123-4-9F3A2C1B",
        "-1-0-00000000",
        " ",
    ],
    ids=["text", "number", "400 digits", "no tag", "Arabic digits", "capitals", "negative", "space"],
)
def test_an_id_that_is_no_position_gets_the_gap(server: Server, garbage: str) -> None:
    with SSEClient(server.port, f"{PATH}&last_event_id=" + quote(garbage)) as client:
        first = client.next()
        assert first is not None
        assert (first.type, first.json["reason"], first.id) == ("gap", "invalid", "")
        position = server.publish("a", {"n": 1})
        assert client.until("message").id == position[0]


def quote(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def test_a_header_that_is_no_position_gets_the_gap(server: Server) -> None:
    assert reason_of(resume(server, "9" * 400)) == "invalid"
    assert reason_of(resume(server, "no position")) == "invalid"


def test_the_head_resumes_silently_and_so_does_each_event(server: Server) -> None:
    positions = server.publish("a", *range(5))
    for number, position in enumerate(positions):
        with SSEClient(server.port, PATH, last_event_id=position) as client:
            connected = client.next()
            assert connected is not None
            assert (connected.type, connected.id) == ("connected", position)
            assert [block.json for block in client.take(4 - number)] == list(range(number + 1, 5))


def test_an_empty_log_resumes_silently(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        with SSEClient(server.port, PATH) as client:
            birth = client.until("connected").id
        assert reason_of(resume(server, birth)) is None


def test_the_query_resumes_and_the_header_goes_before_it(server: Server) -> None:
    first, second, third = server.publish("a", 1, 2, 3)
    for name in ("last_event_id", "lastEventId"):
        with SSEClient(server.port, f"{PATH}&{name}={first}") as client:
            assert [block.json for block in client.take(2, "message")] == [2, 3]
        with SSEClient(server.port, f"{PATH}&{name}={first}", last_event_id=second) as client:
            assert client.until("message").id == third


def test_a_gap_has_no_id_and_comes_before_connected(server: Server) -> None:
    first = server.publish("a", 1)[0]
    forged = first[:-8] + ("00000000" if not first.endswith("00000000") else "11111111")
    gap, connected = resume(server, forged)
    assert (gap.type, gap.id, gap.json["reason"]) == ("gap", "", "forked")
    assert gap.json["channels"] == ["a", "all"]
    assert gap.json["from"] == forged
    assert connected.type == "connected"


def test_a_position_that_was_never_given_out_is_forked_and_one_ahead_is_lost(server: Server) -> None:
    first, second = server.publish("a", 1), server.publish("a", 2)
    milliseconds = int(first[0].split("-")[0])
    assert reason_of(resume(server, f"{milliseconds}-999999-00000000")) == ("forked" if second else None)
    assert reason_of(resume(server, f"{milliseconds + 10**9}-0-00000000")) == "lost"
    assert reason_of(resume(server, "1000-0-00000000")) == "lost"


def test_a_wiped_log_says_lost(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        old = server.publish("a", 1)[0]
    shutil.rmtree(tmp_path / "instance")
    with serve(tmp_path) as server:
        assert reason_of(resume(server, old)) == "lost"
        new = server.publish("a", 2)[0]
        assert reason_of(resume(server, new)) is None
        assert reason_of(resume(server, old)) == "lost"


def test_a_restored_older_copy_says_so_early_and_late(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    with serve(tmp_path) as server:
        kept = server.publish("a", 1)[0]
    shutil.copytree(instance, tmp_path / "backup")
    with serve(tmp_path) as server:
        torn = server.publish("a", 2)[0]
    shutil.rmtree(instance)
    shutil.copytree(tmp_path / "backup", instance)
    with serve(tmp_path) as server:
        assert reason_of(resume(server, torn)) == "lost", "ahead of the restored head"
        assert reason_of(resume(server, kept)) is None
        server.publish("a", 3)
        assert reason_of(resume(server, torn)) == "forked", "the log has grown past it"
        with SSEClient(server.port, PATH, last_event_id=kept) as client:
            assert client.until("message").json == 3


def test_a_log_swapped_under_a_running_worker_sends_its_listeners_a_gap(tmp_path: Path) -> None:
    with serve(tmp_path) as server, SSEClient(server.port, PATH) as client:
        client.until("connected")
        server.publish("a", 1)
        assert client.until("message").json == 1
        for file in (tmp_path / "instance").glob("simulcast.db*"):
            if file.is_file():
                file.unlink()
        gap = client.until("gap").json
        assert gap["reason"] == "lost"
        server.publish("a", 2)
        assert client.until("message").json == 2


def test_a_heartbeat_id_of_a_busy_neighbour_channel_resumes_silently(tmp_path: Path) -> None:
    """The quiet channel's listener holds the position of another channel's event, which history has dropped since."""
    with serve(tmp_path, heartbeat_seconds=0.2, history_events=10) as server:
        with SSEClient(server.port, PATH) as client:
            client.until("connected")
            busy = server.publish("busy", 0)[0]
            while client.last_id != busy:
                client.until("heartbeat")
        for start in range(0, 200, 50):
            server.publish("busy", *range(start, start + 50))
        # What trimming does to the busy channel after its ten seconds, without waiting for them.
        with sqlite3.connect(tmp_path / "instance" / "simulcast.db") as db:
            db.execute("UPDATE events SET channel = NULL, type = NULL, data = NULL WHERE channel = 'busy'")
            db.execute("INSERT INTO marks SELECT 'busy', max(key), 0 FROM events")
        db.close()
        assert reason_of(resume(server, busy)) is None
        assert reason_of(resume(server, busy, "/api/v1/stream?channel=busy")) == "trimmed"


def test_a_worker_behind_the_one_it_resumes_from_does_not_call_it_lost(tmp_path: Path) -> None:
    log = f"sqlite:///{tmp_path}/shared.db"
    with together(*(serve(tmp_path / name, broker_url=log) for name in "ab")) as (ahead, behind):
        with SSEClient(behind.port, PATH) as resident, SSEClient(ahead.port, PATH) as client:
            resident.until("connected")
            client.until("connected")
            for number in range(200):
                position = ahead.publish("a", number)[0]
                assert client.until("message").id == position
                blocks = resume(behind, position)
                assert [block.type for block in blocks] == ["connected"]
                assert blocks[0].id == position
