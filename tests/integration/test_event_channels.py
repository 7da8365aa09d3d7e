"""The channel of an event on a stream of several channels: friction 11. Two ``join`` of two rooms could not be told apart."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from app.identity.tokens import mint
from tests.tools.clients import Block, SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, GRACE_SECONDS, Server

JWT_KEY = "j" * 32

server = server_fixture(
    on=("sqlite", "redis"), jwt_key=JWT_KEY, presence_channels="room.*", constants={GRACE_SECONDS: 0.1}
)


def named(block: Block) -> tuple[str, str]:
    """Position and channel of an event."""
    position, _, channel = block.id.partition("/")
    return position, channel


def listen(server: Server, query: str, user: str = "", headers: dict[str, str] | None = None) -> SSEClient:
    token = mint(JWT_KEY, seconds=600, user=user, subscribe=["*", "presence:*"]) if user else None
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return SSEClient(server.port, f"/api/v1/stream?{query}", headers=bearer | (headers or {}))


def send(server: Server, path: str, data: object) -> str:
    status, _, body = server.request("POST", f"/api/v1/{path}", {"data": data}, BEARER)
    assert status == 201, body
    return str(json.loads(body)["position"])


def test_each_event_of_a_stream_with_several_channels_names_its_own(server: Server) -> None:
    with listen(
        server, "channel=room.a&channel=presence:room.a&channel=presence:room.b&channel=plain", "ann"
    ) as client:
        connected = client.until("connected")
        assert "/" not in connected.id, "a position of all channels"
        with listen(server, "channel=room.b", "bob"):
            joins = client.take(2, "join")
            assert {(named(one)[1], one.json["member"]) for one in joins} == {
                ("presence:room.a", "ann"),
                ("presence:room.b", "bob"),
            }
        positions = [*server.publish("plain", 1), *server.publish("room.a", 2)]
        positions += [send(server, "broadcast", 3), send(server, "users/ann/events", 4)]
        positions.append(send(server, f"listeners/{connected.json['listener']}/events", 5))
        assert [named(block) for block in client.take(5, "message")] == list(
            zip(
                positions,
                ["plain", "room.a", "all", "user:ann", f"listener:{connected.json['listener']}"],
                strict=True,
            )
        )


def test_a_stream_of_one_channel_has_bare_positions_and_names_what_is_of_another(server: Server) -> None:
    with listen(server, "channel=alone", "Zoë/1") as client:
        client.until("connected")
        positions = [*server.publish("alone", 1), send(server, "broadcast", 2)]
        positions.append(send(server, f"users/{quote('Zoë/1')}/events", 3))
        blocks = client.take(3, "message")
        assert [block.id for block in blocks] == [
            positions[0],
            f"{positions[1]}/all",
            f"{positions[2]}/user:Zo%C3%AB%2F1",
        ]
    with listen(server, "channel=alone", "Zoë/1", {"Last-Event-ID": blocks[1].id}) as again:
        assert again.until("connected").id == positions[1]
        assert again.until("message").id == blocks[2].id


@pytest.mark.parametrize("how", ["header", "query"])
def test_an_id_with_a_channel_resumes_strictly_after_it(server: Server, how: str) -> None:
    channels = f"channel=one.{how}&channel=two.{how}"
    with listen(server, channels) as client:
        client.until("connected")
        for number in range(3):
            server.publish(f"one.{how}", number)
            server.publish(f"two.{how}", number)
        blocks = client.take(6, "message")
    last = blocks[2].id
    query, headers = (channels, {"Last-Event-ID": last}) if how == "header" else (
        f"{channels}&last_event_id={quote(last, safe='')}", {}
    )  # fmt: skip
    with listen(server, query, headers=headers) as client:
        connected = client.next()
        assert connected is not None
        assert (connected.type, connected.id) == ("connected", named(blocks[2])[0])
        assert [block.id for block in client.take(3, "message")] == [block.id for block in blocks[3:]]


def test_a_gap_says_the_position_alone(server: Server) -> None:
    with listen(server, "channel=a&channel=b", headers={"Last-Event-ID": "1-0-0a0b0c0d/a"}) as client:
        gap = client.next()
        assert gap is not None
        assert (gap.type, gap.json["from"]) == ("gap", "1-0-0a0b0c0d")


def test_an_id_with_a_channel_is_a_position_wherever_one_is_taken(server: Server) -> None:
    positions = server.publish("looked.at", 1, 2)
    history = server.get_json(f"/api/v1/channels/looked.at/history?after={quote(positions[0] + '/looked.at')}", BEARER)
    assert [event["data"] for event in history["events"]] == [2]
