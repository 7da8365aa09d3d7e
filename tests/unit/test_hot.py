"""An app has hot routes only if each of its hooks is known to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask, Request, request_started
from flask.sessions import SecureCookieSessionInterface

from app.flask_simulcast import Simulcast, hot

HOST = {"HTTP_HOST": "localhost:8000"}


def nothing(*given: Any, **named: Any) -> None:
    pass


def same(response: Any) -> Any:
    return response


def handler(request: Request, body: bytes) -> None:
    return None


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    simulcast = Simulcast(app)
    app.add_url_rule("/things", "things", nothing, methods=["GET", "POST"])
    app.add_url_rule("/things/<id>", "things", nothing)
    simulcast.hot_routes(app).add("things", nothing, handler)
    return app


def routes(app: Flask) -> hot.HotRoutes:
    found: hot.HotRoutes = app.extensions["simulcast"].hot
    return found


def test_an_app_without_hooks_has_its_hot_routes(app: Flask) -> None:
    assert routes(app).doubt(app) == ""
    assert set(routes(app).handlers(app)) == {("GET", "/things"), ("POST", "/things")}


class Sessions(SecureCookieSessionInterface):
    pass


CHANGES: dict[str, Callable[[Flask], object]] = {
    "before_request": lambda app: app.before_request(lambda: None),
    "after_request": lambda app: app.after_request(lambda response: response),
    "teardown_request": lambda app: app.teardown_request(lambda error: None),
    "url_value_preprocessor": lambda app: app.url_value_preprocessor(lambda endpoint, values: None),
    "middleware": lambda app: setattr(app, "wsgi_app", partial(app.wsgi_app)),
    "sessions": lambda app: setattr(app, "session_interface", Sessions()),
    "a method of the app": lambda app: setattr(app, "full_dispatch_request", nothing),
    "hosts": lambda app: app.config.update(TRUSTED_HOSTS=["a"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_that_it_does_not_know_leaves_everything_to_flask(app: Flask, change: str) -> None:
    CHANGES[change](app)
    assert routes(app).doubt(app) != ""


def test_a_method_of_a_subclass_does_so_too() -> None:
    class Traced(Flask):
        def wsgi_app(self, environ: Any, start_response: Any) -> Any:
            return super().wsgi_app(environ, start_response)

    app = Traced(__name__)
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    Simulcast(app)
    assert "wsgi_app" in routes(app).doubt(app)


def test_a_middleware_below_the_extension_does_so_too() -> None:
    app = Flask(__name__)
    app.wsgi_app = partial(app.wsgi_app)  # type: ignore[method-assign,assignment]
    app.config["SIMULCAST_BROKER_URL"] = "memory://"
    Simulcast(app)
    assert "middleware" in routes(app).doubt(app)


def test_hooks_that_are_known_change_nothing(app: Flask) -> None:
    app.before_request(hot.known(lambda: None))
    app.after_request(hot.known(lambda response: response))
    app.wsgi_app = hot.known(lambda environ, start: (), wraps=app.wsgi_app)  # type: ignore[method-assign,assignment]
    assert routes(app).doubt(app) == ""


def test_hooks_of_other_blueprints_do_not_matter(app: Flask) -> None:
    app.before_request_funcs["other"] = [lambda: None]
    assert routes(app).doubt(app) == ""


def test_a_view_that_was_replaced_is_not_hot(app: Flask) -> None:
    app.view_functions["things"] = same
    assert routes(app).handlers(app) == {}


def test_a_receiver_of_a_signal_gets_its_requests(app: Flask) -> None:
    other = Flask("other")
    with request_started.connected_to(nothing, sender=other):
        assert routes(app).may_answer(app, HOST)
    with request_started.connected_to(nothing, sender=app):
        assert not routes(app).may_answer(app, HOST)
    assert routes(app).may_answer(app, HOST)


@pytest.mark.parametrize("host", ["", ".a", "a..b", "a b", "a:x", "[::1", "ä", "a" * 64])
def test_a_host_that_flask_may_refuse_is_for_flask(app: Flask, host: str) -> None:
    assert not routes(app).may_answer(app, {"HTTP_HOST": host})
    assert routes(app).may_answer(app, {"HTTP_HOST": "[::1]:80"})


def test_a_cookie_is_for_flask_where_there_are_sessions(app: Flask) -> None:
    assert routes(app).may_answer(app, {**HOST, "HTTP_COOKIE": "a=b"})
    app.secret_key = "s" * 32
    assert routes(app).may_answer(app, HOST)
    assert not routes(app).may_answer(app, {**HOST, "HTTP_COOKIE": "a=b"})
