"""P15: a client that reconnects with fewer rights gets nothing beyond them: a position is not a key."""

from __future__ import annotations

import json
import random
from typing import Any

from app.identity.tokens import mint
from tests.faults.sizes import SIZES
from tests.tools.clients import SSEClient
from tests.tools.serving import BEARER, Server
from tests.tools.tiers import Store, on

KEY = "j" * 32
CHANNELS = ("mine", "secret.a", "secret.b")
EVENTS = 30  # in each


def bearer(user: str, *patterns: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(KEY, seconds=600, user=user, subscribe=list(patterns))}"}


def codes(server: Server, channels: list[str], position: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return the answer to a listener without the right to listen."""
    query = "&".join(f"channel={name}" for name in channels)
    status, _, text = server.request("GET", f"/api/v1/stream?{query}", headers=headers | {"Last-Event-ID": position})
    return status, str(json.loads(text)["error"]["code"])


@on("memory", "sqlite", "redis")
def test_p15_a_narrower_or_revoked_token_never_gets_a_replayed_event(store: Store) -> None:
    chance = random.Random(15)
    with store.serve(anonymous_channels="", jwt_key=KEY) as server:
        start = server.publish("mine", {"channel": "mine"})[0]
        for _ in range(EVENTS):
            for name in CHANNELS:
                server.publish(name, {"channel": name})
        wide, narrow = bearer("ann", "mine", "secret.*"), bearer("ann", "mine")
        gone = bearer("bob", "mine", "secret.*")
        with SSEClient(server.port, path(CHANNELS), headers=wide, last_event_id=start) as client:
            positions = [block.id for block in client.take(EVENTS * len(CHANNELS), "message")]
        with SSEClient(server.port, path(CHANNELS), headers=gone, last_event_id=start) as client:
            assert client.take(EVENTS * len(CHANNELS), "message")
        assert server.request("DELETE", "/api/v1/users/bob/grants", headers=BEARER)[0] == 204
        got: list[Any] = []
        for _ in range(SIZES.replays):
            position = chance.choice([start, *positions])
            asked = ["mine", *chance.sample(CHANNELS[1:], chance.randint(1, 2))]
            assert codes(server, asked, position, narrow) == (403, "not_granted")
            assert codes(server, asked, position, gone) == (401, "token_revoked")
            assert codes(server, asked, position, {})[0] == 401
            due = EVENTS - sum(known <= position for known in positions[::3]) if position != start else EVENTS
            with SSEClient(server.port, path(["mine"]), headers=narrow, last_event_id=position) as client:
                assert client.next().type == "connected"  # type: ignore[union-attr]
                got += [block.json["channel"] for block in client.take(due, "message")] if due else []
    assert set(got) == {"mine"}, "something was given that may not be had"


def path(channels: Any) -> str:
    return "/api/v1/stream?" + "&".join(f"channel={name}" for name in channels)
