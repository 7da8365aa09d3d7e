"""The Python client against real servers: through cuts and killed workers, beside silence and refusals, in threads and in gevent."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.flask_simulcast.client import Client, RefusedError, Status, UnreachableError
from app.identity.tokens import mint
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY
from tests.tools.nginx import make_certificate
from tests.tools.relay import CuttingRelay, ForgetfulRelay, Relay
from tests.tools.serving import BEARER, KEY, ROOT, Server, free_port, wait_until

MOST_BYTES = 20_000
EVENTS = 10_000
BATCH = 500
TEXT = "é 流 🦊\r\n\u2028"  # characters of two to four bytes, and line ends, so that cuts go through them
FAST = {"max_retry_seconds": 0.02}

two = server_fixture(
    workers=2, history_events=20_000, publish_rate=0, retry_ms=100, heartbeat_seconds=1, jwt_key=JWT_KEY
)


class Listening:
    """A thread that listens, and what it has seen.

    Attributes:
        seen: The events.
        states: Each change of the status.
        error: What ended it.
    """

    def __init__(self, client: Client, *channels: str, **options: Any) -> None:
        self.seen: list[Any] = []
        self.states: list[Status] = []
        self.error: BaseException | None = None
        self.stream = client.listen(*channels, on_state=self.states.append, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.seen.extend(self.stream)
        except Exception as error:
            self.error = error

    def wait_for(self, state: str) -> None:
        wait_until(lambda: state in [status.state for status in self.states], 15, f"{state}, after {self.states}")

    def end(self) -> None:
        """Close it from here; its thread ends at once."""
        self.stream.close()
        self.join(1)

    def join(self, seconds: float = 10) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()


def client_of(port: int, **options: Any) -> Client:
    return Client(f"http://127.0.0.1:{port}", **{"token": KEY, **options})


def publish_surely(client: Client, channel: str, numbers: range) -> None:
    """Publish a batch, whichever worker dies meanwhile; its keys keep it from being stored twice."""
    events = [
        {"channel": channel, "data": {"n": n, "text": TEXT}, "idempotency_key": f"{channel}-{n}"} for n in numbers
    ]
    deadline = time.monotonic() + 20
    while True:
        try:
            client.request("POST", "/api/v1/events", events)
            return
        except UnreachableError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_10_000_events_through_cuts_killed_workers_and_a_reload_are_seen_once_each_in_order(two: Server) -> None:
    with CuttingRelay(two.port, random.Random(14), MOST_BYTES) as relay, client_of(two.port) as publisher:
        listening = Listening(client_of(relay.port, **FAST), "cuts")
        wait_until(lambda: listening.stream.position, 15, "the first position")
        for batch, start in enumerate(range(0, EVENTS, BATCH)):
            if batch == 6:
                for pid in two.workers:
                    os.kill(pid, signal.SIGKILL)
            if batch == 13:
                two.signal(signal.SIGHUP)
            publish_surely(publisher, "cuts", range(start, start + BATCH))
        wait_until(lambda: len(listening.seen) >= EVENTS or listening.error, 60, "all events")
        listening.end()
        assert relay.cuts >= 50
    assert listening.error is None
    assert [(event.type, event.channel) for event in listening.seen] == [("message", "cuts")] * EVENTS
    assert [event.data for event in listening.seen] == [{"n": n, "text": TEXT} for n in range(EVENTS)]


# In a process of its own, patched from its first line on.
IN_GEVENT = """
from gevent import monkey; monkey.patch_all()
import json, sys, gevent
from flask_simulcast.client import Client

with Client(sys.argv[1], token=sys.argv[2], max_retry_seconds=0.02) as client:
    stream, seen, ticks = client.listen("patched"), [], []
    listening = gevent.spawn(lambda: seen.extend(event.data["n"] for event in stream))
    ticking = gevent.spawn(lambda: [(gevent.sleep(0.01), ticks.append(1)) for _ in range(100_000)])
    while not stream.position:
        gevent.sleep(0.01)
    positions = [client.publish("patched", {"n": n, "text": "x" * 500}, retry_seconds=60) for n in range(100)]
    with gevent.Timeout(30):
        while len(seen) < 100:
            gevent.sleep(0.01)
    stream.close()
    listening.join(1)
    ticking.kill()
    print(json.dumps({"seen": seen, "positions": len(set(positions)), "ended": listening.dead, "ticks": len(ticks)}))
"""


def test_in_gevent_other_greenlets_run_while_it_waits(two: Server) -> None:
    with CuttingRelay(two.port, random.Random(15), 5000) as relay:
        command = [sys.executable, "-c", IN_GEVENT, f"http://127.0.0.1:{relay.port}", KEY]
        done = subprocess.run(command, cwd=ROOT / "app", check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert relay.cuts >= 8
    told = json.loads(done.stdout)
    assert told["seen"] == list(range(100))
    assert (told["positions"], told["ended"]) == (100, True)
    assert told["ticks"] > 20


def test_a_server_that_falls_silent_is_stale_then_left_and_found_again(two: Server) -> None:
    listening = Listening(client_of(two.port, heartbeat_seconds=1, **FAST), "silence")
    listening.wait_for("live")
    workers = two.workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        listening.wait_for("reconnecting")
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    two.publish("silence", "after")
    wait_until(lambda: listening.seen, 15, "the event")
    listening.end()
    assert [event.data for event in listening.seen] == ["after"]
    told = [(status.state, status.reason) for status in listening.states]
    assert told[:3] == [("live", ""), ("stale", "silent"), ("reconnecting", "silent")]
    assert told[-2:] == [("live", ""), ("closed", "closed")]


def test_a_program_goes_on_where_it_was_before_its_own_restart(two: Server) -> None:
    two.publish("restart", *range(5))
    with client_of(two.port) as before, before.listen("restart", replay=5) as stream:
        kept = next(event.position for event in stream if event.data == 2)
        assert stream.position == kept
    with client_of(two.port) as after, after.listen("restart", "other", position=kept) as stream:
        events = list(itertools.islice(stream, 2))
    assert [(event.data, event.channel) for event in events] == [(3, "restart"), (4, "restart")]
    assert events[0].time_ms is not None
    assert abs(events[0].time_ms / 1000 - time.time()) < 60


def test_a_gap_is_an_event_of_the_loop(two: Server) -> None:
    two.publish("gaps", 1)
    with client_of(two.port) as client, client.listen("gaps", position="1000000000000-0-00000000") as stream:
        gap, event = itertools.islice(stream, 2)
    assert (gap.type, gap.data["reason"], gap.channel, gap.position) == ("gap", "lost", None, "")
    assert event.data == 1


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "unauthorized"),
        ("wrong", "unauthorized"),
        (mint(JWT_KEY, subscribe=["other"], seconds=3600), "forbidden"),
    ],
)
def test_a_refusal_ends_the_loop_with_an_error(two: Server, token: str | None, reason: str) -> None:
    listening = Listening(client_of(two.port, token=token), "user:ann")
    listening.join()
    assert isinstance(listening.error, RefusedError)
    assert (listening.error.reason, listening.states) == (reason, [Status("closed", reason)])


def test_an_end_for_good_is_an_error_and_204_is_not(two: Server) -> None:
    with client_of(two.port) as client:
        listening = Listening(
            client_of(two.port, token=mint(JWT_KEY, user="bob", subscribe=["ends"], seconds=60)), "ends"
        )
        listening.wait_for("live")
        client.request("DELETE", "/api/v1/users/bob/grants")
        listening.join()
        assert isinstance(listening.error, RefusedError)
        assert listening.error.reason == "revoked"
        assert list(client.listen("ends", position="end")) == []


def test_a_token_that_ends_is_renewed_by_a_function(two: Server) -> None:
    made: list[str] = []

    def token() -> str:
        made.append(mint(JWT_KEY, user="eve", subscribe=["renewed"], seconds=1 if not made else 60))
        return made[-1]

    listening = Listening(client_of(two.port, token=token, **FAST), "renewed")
    wait_until(lambda: len(made) == 2 and listening.states[-1].state == "live", 15, "the second token")
    two.publish("renewed", "after")
    wait_until(lambda: listening.seen, 5)
    listening.end()
    assert ("reconnecting", "expired") in [(status.state, status.reason) for status in listening.states]


def test_an_answer_that_is_lost_does_not_publish_twice(two: Server) -> None:
    with ForgetfulRelay(two.port, random.Random(16), 0.3) as relay, client_of(relay.port) as client:
        positions = [client.publish("forgotten", n) for n in range(15)]
        assert relay.answers > 16, "some answers were dropped"
    history = two.get_json("/api/v1/channels/forgotten/history?limit=100", BEARER)["events"]
    assert [(event["id"], event["data"]) for event in history] == list(zip(positions, range(15), strict=True))


def test_publishing_says_what_is_wrong(two: Server) -> None:
    with client_of(two.port) as client:
        with pytest.raises(RefusedError, match="channel"):
            client.publish("no channel", 1)
        with pytest.raises(ValueError, match="JSON"):
            client.publish("orders", float("nan"))
    with client_of(free_port()) as client, pytest.raises(UnreachableError, match="refused"):
        client.publish("orders", 1, retry_seconds=0)
    with client_of(two.port, token="a\nb") as client, pytest.raises(RefusedError, match="characters that no token has"):
        client.publish("orders", 1)


def test_many_threads_publish_over_a_few_kept_connections(two: Server) -> None:
    with Relay(two.port) as relay, client_of(relay.port) as client:
        threads = [threading.Thread(target=lambda: [client.publish("threads", n) for n in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert relay.accepted < 20
    assert len(two.get_json("/api/v1/channels/threads/history?limit=100", BEARER)["events"]) == 80


class Handover(deque[Any]):
    """Idle connections. The thread that gives one back waits until another has taken it, and that one waits for the first."""

    def __init__(self) -> None:
        super().__init__()
        self.is_taken, self.is_given = threading.Event(), threading.Event()

    def append(self, item: Any) -> None:
        super().append(item)
        assert self.is_taken.wait(5)

    def pop(self) -> Any:  # type: ignore[override]
        item = super().pop()
        self.is_taken.set()
        assert self.is_given.wait(5)
        return item


def test_a_thread_that_gives_a_connection_back_does_not_close_it_under_the_next_thread(two: Server) -> None:
    with Relay(two.port) as relay, client_of(relay.port) as client:
        client._idle = idle = Handover()
        threads = [threading.Thread(target=client.publish, args=("handover", n)) for n in range(2)]
        for thread in threads:
            thread.start()
            wait_until(lambda: len(idle) or idle.is_taken.is_set(), 5, "a connection")
        threads[0].join(5)
        idle.is_given.set()
        threads[1].join(5)
        assert relay.accepted == 1


def test_what_is_no_stream_is_refused_and_closing_the_client_ends_all(two: Server) -> None:
    with pytest.raises(RefusedError, match="event stream"):
        next(Client(f"http://127.0.0.1:{two.port}/healthz").listen())
    with client_of(two.port) as client:
        listening = [Listening(client, "one"), Listening(client, "two")]
        for each in listening:
            each.wait_for("live")
    for each in listening:
        each.join(1)
        assert each.error is None


@contextmanager
def foreign(*answers: str) -> Iterator[tuple[int, list[str | None]]]:
    """A server of another kind. Its n-th answer is the n-th of these streams. Gives its port, and the ids that it was sent."""
    left, ids = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ids.append(self.headers["Last-Event-ID"])
            self.send_response(200 if left else 204)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write((left.pop(0) if left else "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving_in_a_thread(Handler) as port:
        yield port, ids


@contextmanager
def serving_in_a_thread(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_an_id_of_another_server_may_have_any_characters() -> None:
    with foreign("id: é 流\ndata: 1\n\n", "data: 2\n\n") as (port, ids), client_of(port, **FAST) as client:
        assert [event.data for event in client.listen()] == [1, 2]
        assert ids == [None, *["é 流".encode().decode("latin-1")] * 2]


@pytest.mark.parametrize("digits", [12, 400, 5000])
def test_a_wrong_retry_of_a_server_stops_no_client(digits: int) -> None:
    closed = f'retry: {"9" * digits}\nevent: closed\ndata: {{"reason": "draining", "reconnect": true}}\n\n'
    with foreign(closed) as (port, _):
        listening = Listening(client_of(port))
        listening.wait_for("reconnecting")
        assert listening.states[-1].wait_seconds <= 330
        listening.end()
        assert listening.error is None


class OneEvent(BaseHTTPRequestHandler):
    """A stream that is over after an event."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Last-Event-ID"] is None else 204)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"id: 1\ndata: 1\n\n")

    def log_message(self, *_: object) -> None:
        pass


def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "simulcast.crt", tmp_path / "simulcast.key")
    with serving_in_a_thread(OneEvent, context) as port:
        client = Client(f"https://localhost:{port}", **FAST)
        listening = Listening(client)
        listening.wait_for("reconnecting")
        assert {status.reason for status in listening.states} == {"certificate"}
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "simulcast.crt"))
        listening.join()
        assert [event.data for event in listening.seen] == [1]


AWAY = """
import sys
from flask_simulcast.client import Client, UnreachableError

try:
    Client(sys.argv[1]).publish("orders", 1, retry_seconds=1)
except UnreachableError as error:
    sys.exit(f"{error}")
"""


def test_a_program_that_stood_still_does_not_publish_again_after_its_time() -> None:
    sent: list[float] = []

    class Away(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(time.monotonic())
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving_in_a_thread(Away) as port:
        command = [sys.executable, "-c", AWAY, f"http://127.0.0.1:{port}"]
        with subprocess.Popen(command, cwd=ROOT / "app", stderr=subprocess.PIPE, text=True) as program:
            wait_until(lambda: sent, 10, "the first try")
            wait_until(lambda: state_of(program.pid) == "S", 5, "its wait")
            program.send_signal(signal.SIGSTOP)
            tries = len(sent)
            wait_until(lambda: time.monotonic() - sent[0] > 1.1, 5, "its time to pass")
            program.send_signal(signal.SIGCONT)
            _, told = program.communicate(timeout=10)
    assert (program.returncode, len(sent)) == (1, tries)
    assert told.startswith("503")


def state_of(pid: int) -> str:
    """S if the process waits."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("options", [{"replay": 5}, {"position": "1-0-00000000\n"}])
def test_what_has_no_effect_and_what_is_no_position_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"chooses its own replay|one line"):
        client_of(1).listen(**options)
    words = [f"--{'from' if name == 'position' else name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "flask_simulcast.client", "listen", "http://127.0.0.1:1", *words]
    done = subprocess.run(command, cwd=ROOT / "app", check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_what_a_server_says_at_a_prompt_steers_no_terminal() -> None:
    with foreign('event: closed\ndata: {"reason": "\\u001b[31m", "reconnect": false}\n\n') as (port, _):
        command = [sys.executable, "-m", "flask_simulcast.client", "listen", f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, cwd=ROOT / "app", check=False, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (2, "Error: The server ends the stream for good: \\x1b[31m.\n")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() <= before, 5, "its threads to end")


def test_importing_it_loads_neither_flask_nor_gevent(tmp_path: Path) -> None:
    code = "import sys, flask_simulcast.client; print([name for name in ('flask', 'werkzeug', 'gevent', 'click') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "app", check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
