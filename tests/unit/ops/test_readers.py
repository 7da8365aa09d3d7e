"""Who may read the metrics of an app: by default a client on the machine itself."""

from __future__ import annotations

import pytest
from flask import Flask

from app.flask_simulcast import Simulcast
from app.flask_simulcast.ops.readers import has_token, is_of_this_machine


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_client_on_this_machine_may_read_unless_it_is_a_proxy(peer: str) -> None:
    assert is_of_this_machine({"REMOTE_ADDR": peer})
    for header in ("X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP", "VIA"):
        assert not is_of_this_machine({"REMOTE_ADDR": peer, f"HTTP_{header}": "127.0.0.1"})


@pytest.mark.parametrize("peer", ["", "10.0.0.7", "128.127.0.1", "2001:db8::1", "::11", "::ffff:10.0.0.1", None])
def test_other_clients_are_refused(peer: str | None) -> None:
    assert not is_of_this_machine({"REMOTE_ADDR": peer})
    assert not is_of_this_machine({})


def test_token_is_a_whole_bearer_token() -> None:
    for given in ("Bearer s3cret", "bearer s3cret", "Bearer  s3cret "):
        assert has_token({"HTTP_AUTHORIZATION": given}, "s3cret")
    for given in ("", "s3cret", "Basic s3cret", "Bearer s3cre", "Bearer s3cret1", "Bearer", "Bearer \xe9"):
        assert not has_token({"HTTP_AUTHORIZATION": given}, "s3cret")


def test_two_rules_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Simulcast().ops(token="s3cret", may_read=lambda: True)


def test_blueprint_of_an_app_that_is_not_set_up_says_what_to_do_first() -> None:
    with pytest.raises(RuntimeError, match="init_app"):
        Flask(__name__).register_blueprint(Simulcast().ops())
