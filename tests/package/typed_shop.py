"""The guide's examples with types, as an app of one's own has them: mypy checks them. Never run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, assert_type

from flask import Flask, Response

from app.flask_simulcast import Event, Grant, Listener, Position, Publisher, Simulcast
from app.flask_simulcast.signals import listener_removed

app = Flask(__name__)
simulcast = Simulcast(app)
user: Any = None


@app.get("/orders/stream")
def stream() -> Response:
    return simulcast.sse("orders")


@app.get("/orders/live")
def live() -> Response:
    return simulcast.sse(["orders", "shop.7"], snapshot=lambda: [{"id": 7}], replay=20)


def without_prices(event: Event) -> Event | None:
    data = json.loads(event.data)
    data.pop("price", None)
    return Event(event.position, event.channel, event.type, json.dumps(data))


@dataclass(frozen=True)
class Above:
    price: int

    def __call__(self, event: Event) -> Event | None:
        return event if json.loads(event.data)["price"] > self.price else None


@app.get("/orders/views")
def views() -> Response:
    simulcast.sse("orders", view=Above(7))
    return simulcast.sse("orders", view=without_prices)


def send() -> Position:
    simulcast.publish_to_channels(["orders", "shop.7"], {"id": 7})
    simulcast.broadcast("all")
    simulcast.publish_to_user("ann", {"id": 7}, idempotency_key="order-7")
    simulcast.publish_many([{"channel": "orders", "data": 1}])
    simulcast.publish_on_commit("orders", {"id": 7}, type="created")
    return simulcast.publish("orders", {"id": 7}, type="created").position


def from_outside() -> None:
    with Publisher.from_url("sqlite:////srv/shop/instance/simulcast.db", create=True) as publisher:
        publisher.publish("orders", {"id": 7})


@simulcast.authorizer
def who() -> Grant | None:
    return Grant(user="ann", subscribe=["orders", "shop.*", "chat.{sub}"], issued_at=1_700_000_000)


def grants() -> Response:
    grant = Grant(user="ann", subscribe=["a"], publish=("b",), meta={"colour": "green"}, expires_at=1_800_000_000.0)
    assert_type(grant.subscribe, tuple[str, ...])
    assert_type(Grant(subscribe="orders").subscribe, tuple[str, ...])
    assert_type(Grant(publish={"a", "b"}).publish, tuple[str, ...])
    return simulcast.sse("chat.lobby", grant=grant, meta={"colour": "green"}, present=True)


@listener_removed.connect_via(app)
def left(app: Flask, listener: Listener) -> None:
    app.logger.info("%s has left", listener.id)
