"""Channels that a token does not open: wildcards, reserved names, what was, and who is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.security.attacks import bearer, is_let_in, refusal, token
from tests.tools.clients import SSEClient
from tests.tools.fleet import Fleet
from tests.tools.serving import BEARER, Server, serve

RESERVED = ["user:bob", "listener:7b29735d84c195f9", "presence:closed.a", "all"]


# Wildcards and names


def test_a_wildcard_reaches_no_reserved_channel(server: Server) -> None:
    everything = bearer(token(subscribe=["*"], publish=["*"]))
    assert is_let_in(server, everything)
    for channel in ("user:bob", "listener:7b29735d84c195f9", "presence:closed.a"):
        assert refusal(server, "GET", f"/api/v1/stream?channel={channel}", None, everything) == (403, "not_granted")
        assert refusal(server, "GET", f"/api/v1/channels/{channel}/history", None, everything) == (403, "not_granted")
    for path in ("/api/v1/channels/closed.a/presence", "/api/v1/listeners"):
        assert refusal(server, "GET", path, None, everything) == (403, "not_granted")
    for method, path in (
        ("POST", "/api/v1/broadcast"),
        ("POST", "/api/v1/users/alice/events"),
        ("POST", "/api/v1/listeners/7b29735d84c195f9/events"),
        ("DELETE", "/api/v1/listeners/7b29735d84c195f9"),
        ("DELETE", "/api/v1/users/alice/grants"),
    ):
        assert refusal(server, method, path, {"data": 1}, everything) == (403, "not_granted")


@pytest.mark.parametrize("name", ["*", "closed.*", "presence:", "user:", "all", "listener:*", "{sub}", "a*"])
def test_a_subject_that_is_a_pattern(server: Server, name: str) -> None:
    greedy = bearer(token(name, subscribe=["inbox.{sub}", "{sub}", "{sub}*"], publish=["{sub}", "{sub}*"]))
    for channel in ("closed.a", "inbox.alice", "user:bob", "presence:closed.a", "listener:7b29735d84c195f9"):
        assert not is_let_in(server, greedy, channel)
        assert server.request("POST", "/api/v1/events", {"channel": channel, "data": 1}, greedy)[0] == 403
    assert server.request("POST", "/api/v1/broadcast", {"data": 1}, greedy)[0] == 403
    assert server.request("GET", "/api/v1/channels/closed.a/presence", headers=greedy)[0] == 403


@pytest.mark.parametrize(
    "channel", ["wukong-agent.host", "wukong-replies.host", "chatroom:lobby", "chatroom:lobby:typing"]
)
def test_a_star_neither_commands_machines_nor_speaks_as_others(server: Server, channel: str) -> None:
    """sec "what * means": the service's own channels have to be spelled out, as reserved names have."""
    event = {"channel": channel, "data": 1}
    for pattern in ("*", "w*", "wukong-*", "chat*", "chatroom*", "{sub}*"):
        named = bearer(token("chatroom:", subscribe=[pattern, "presence:*"], publish=[pattern]))
        assert refusal(server, "POST", "/api/v1/events", event, named) == (403, "not_granted")
        for path in (f"stream?channel={channel}", f"channels/{channel}/history", f"channels/{channel}/presence"):
            assert refusal(server, "GET", f"/api/v1/{path}", None, named) == (403, "not_granted")
    everything = bearer(token(subscribe=["*"], publish=["*"]))
    assert refusal(server, "POST", "/api/v1/wukongs/host/commands", {"command": "ping"}, everything) == (
        403,
        "not_granted",
    )
    prefix = channel[: channel.index("." if "." in channel else ":") + 1]
    spelled = bearer(token(subscribe=[f"{prefix}*", f"presence:{channel}"], publish=[channel]))
    for headers in (spelled, BEARER):
        assert server.request("POST", "/api/v1/events", event, headers)[0] == 201
        assert is_let_in(server, headers, channel)
        for path in ("history", "presence"):
            assert server.request("GET", f"/api/v1/channels/{channel}/{path}", headers=headers)[0] == 200


def test_a_star_for_all_clients_opens_none_of_the_services_own_channels(tmp_path: Path) -> None:
    with serve(tmp_path, anonymous_channels="*") as open_to_all:
        assert is_let_in(open_to_all, {}, "news")
        for channel in ("wukong-agent.host", "wukong-replies.host", "chatroom:lobby", "presence:chatroom:lobby"):
            assert open_to_all.request("GET", f"/api/v1/channels/{channel}/history")[0] == 401


@pytest.mark.parametrize("channel", [*RESERVED, "simulcast:control"])
def test_publishing_to_reserved_names_as_if_they_were_channels(server: Server, channel: str) -> None:
    """Not even with the key: only the hub speaks in these names."""
    named = bearer(token(publish=["*", "all", "user:*", "presence:*", "listener:*", "simulcast:*"]))
    for headers in (named, BEARER):
        for body in ({"channel": channel, "data": 1}, {"channels": ["closed.a", channel], "data": 1}):
            status, _, _ = server.request("POST", "/api/v1/events", body, headers)
            assert status in (400, 403)


def test_the_channel_workers_talk_on(server: Server) -> None:
    named = bearer(token(subscribe=["simulcast:*", "*"], publish=["simulcast:*"]))
    for path in ("/api/v1/stream?channel=simulcast:control", "/api/v1/channels/simulcast:control/history"):
        assert refusal(server, "GET", path, None, named) == (400, "channel_name")


def test_one_allowed_channel_beside_one_that_is_not(server: Server) -> None:
    headers = bearer(token(subscribe=["closed.a"], publish=["closed.a"]))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a&channel=closed.b", None, headers) == (
        403,
        "not_granted",
    )
    batch = [{"channel": "closed.a", "data": 1}, {"channel": "closed.b", "data": 2}]
    assert refusal(server, "POST", "/api/v1/events", batch, headers) == (403, "not_granted")
    assert (
        refusal(server, "POST", "/api/v1/events", {"channels": ["closed.a", "closed.b"], "data": 1}, headers)[0] == 403
    )


# What was, and who is there


def test_a_narrower_token_replays_nothing(workers: Fleet) -> None:
    """Replay is authorised like live: a position is no key."""
    one, two = workers
    first, _ = one.publish("closed.replay", "secret 1", "secret 2")
    narrow = bearer(token(subscribe=["closed.other"]))
    for query in (
        "channel=closed.replay",
        "channel=closed.replay&channel=closed.other",
        "channel=closed.replay&replay=10",
    ):
        for headers in (narrow, {}):
            status, code = refusal(two, "GET", f"/api/v1/stream?{query}", None, headers | {"Last-Event-ID": first})
            assert (status, code) == ((403, "not_granted") if headers else (401, "no_grant"))
    with SSEClient(two.port, "/api/v1/stream?channel=closed.other", last_event_id=first, headers=narrow) as client:
        client.until("connected")
        one.publish("closed.other", "mine")
        assert client.next().json == "mine"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/channels/closed.a/history", None),
        ("GET", "/api/v1/channels/open.a/presence", None),
        ("GET", "/api/v1/listeners", None),
        ("DELETE", "/api/v1/listeners/7b29735d84c195f9", None),
        ("DELETE", "/api/v1/users/bob/grants", None),
        ("POST", "/api/v1/listeners/7b29735d84c195f9/events", {"data": 1}),
        ("POST", "/api/v1/users/bob/events", {"data": 1}),
        ("POST", "/api/v1/broadcast", {"data": 1}),
        ("POST", "/api/v1/events", {"channel": "open.a", "data": 1}),
        ("POST", "/api/v1/tickets", b""),
        ("PUT", "/api/v1/wukongs/x/status", {}),
        ("GET", "/api/v1/wukongs", None),
    ],
)  # fmt: skip
def test_no_client_may(server: Server, method: str, path: str, body: Any) -> None:
    """History, presence, lists, kicks, publishing: closed without a grant, and with one for something else."""
    assert refusal(server, method, path, body)[0] == 401
    if path != "/api/v1/tickets":
        assert refusal(server, method, path, body, bearer(token(subscribe=["x"], publish=["x"]))) == (
            403,
            "not_granted",
        )


def test_a_kick_needs_no_guess_at_who_is_there(server: Server) -> None:
    """Without a grant a client can't learn whether an id exists."""
    with SSEClient(server.port, "/api/v1/stream?channel=open.a") as client:
        listener = client.until("connected").json["listener"]
        answers = {refusal(server, "DELETE", f"/api/v1/listeners/{one}") for one in (listener, "0" * 16)}
        assert len(answers) == 1
