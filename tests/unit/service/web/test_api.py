"""A route: its steps, their order, and what each of them keeps from the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from msgspec import Struct

from app.flask_simulcast import Grant
from app.identity.rights import Both, Listen, Publish, PublishEach
from app.web import body as bodies
from app.web import errors, limits
from app.web import route as routes
from app.web.api import Api
from app.web.errors import ApiError
from app.web.right import Access, Right

STEPS = ["right", "query", "size and body", "parse", "grant again", "right of the body", "rate limit", "view"]


class Query(Struct):
    """Which."""

    limit: int = 1


class Thing(Struct):
    """What is sent and answered."""

    name: str


class Log(list[str]):
    """The steps that a request has taken; one of them may refuse it."""

    refused_at = ""

    def step(self, name: str) -> None:
        self.append(name)
        if name == self.refused_at:
            raise ApiError(418, "refused", name)


class Recorded(Right):
    access = Access.GRANTED
    text = "a right"

    def __init__(self, log: Log) -> None:
        self._log = log

    def require(self, path: Mapping[str, str]) -> Grant:
        self._log.step("right")
        return Grant()

    def require_for(self, body: Any) -> None:
        self._log.step("right of the body")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def app(log: Log, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """One route with all that there is, whose steps are written down."""
    thing = bodies.of_struct(Thing, most_bytes=100, code="invalid", hint="Send a name.")

    def stepping(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            log.step(name)
            return act(*given)

        return run

    monkeypatch.setattr(routes.query, "read", stepping("query", routes.query.read))
    monkeypatch.setattr(
        bodies.bodies, "read", stepping("size and body", lambda most: b'{"name": "' + b"%d" % most + b'"}')
    )
    monkeypatch.setattr(routes.simulcast, "check_grant", stepping("grant again", lambda: None))
    monkeypatch.setattr(limits, "check_publish", stepping("rate limit", lambda events: None))
    api = Api("api", __name__, {"thing": str})

    @api.post(
        "/things/<thing>",
        needs=Recorded(log),
        query=Query,
        body=bodies.Body(content=thing.content, most_bytes=thing.most_bytes, parse=stepping("parse", thing.parse)),
        publishes=1,
        answers={202: None, 201: Thing},
    )
    def change(thing: str, query: Query, body: Thing) -> Thing:
        log.step("view")
        return Thing(f"{thing} {query.limit} {body.name}")

    app = Flask(__name__)
    errors.init_app(app)
    app.register_blueprint(api.blueprint)
    return app


def test_a_request_takes_all_steps_in_their_order(app: Flask, log: Log) -> None:
    answer = app.test_client().post("/things/a?limit=7")
    assert log == STEPS
    assert (answer.status_code, answer.json) == (201, {"name": "a 7 100"})


@pytest.mark.parametrize("step", STEPS)
def test_what_is_refused_at_a_step_does_not_reach_the_next(app: Flask, log: Log, step: str) -> None:
    log.refused_at = step
    assert app.test_client().post("/things/a").status_code == 418
    assert log == STEPS[: STEPS.index(step) + 1]


def test_a_variable_is_checked_before_it_stands_in_a_channel() -> None:
    right = Publish("a:<b>:<c>", b=str.upper)
    assert right.channel({"b": "<c>", "c": "d"}) == "a:<C>:d", "a value is no pattern"
    assert right.text == "`publish` on `a:<b>:<c>`"


def test_two_rights_are_two_and_no_ticket_will_do() -> None:
    both = Both(Publish("a"), Listen("b"))
    assert (both.text, both.access) == ("`publish` on `a` and `subscribe` on `b`", Access.GRANTED)


def test_each_channel_of_a_body_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("app.identity.rights.simulcast.require_publish", asked.append)
    PublishEach(lambda body: body["channels"]).require_for({"channels": ["a", "b"]})
    assert asked == [["a", "b"]]


def test_a_route_that_does_not_say_what_it_needs_is_none() -> None:
    with pytest.raises(TypeError, match="needs"):
        Api("api", __name__).get("/a", answers={204: None})
    with pytest.raises(KeyError, match="thing"):
        Api("api", __name__).get("/<thing>", needs=None, answers={204: None})
