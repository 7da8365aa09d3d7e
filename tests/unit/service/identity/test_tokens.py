"""Tokens: what is let in, what is remembered and what is minted."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.flask_simulcast import Grant, UnauthorizedError
from app.identity.keys import Keys, read_keys
from app.identity.tokens import grant_of, mint
from tests.unit.service.identity.signing import NOW, SECRET, ec_key, key_set, pem, refusal, row, rsa_key, signed, tokens

# What is let in


def test_a_token_says_who_one_is_and_what_one_may() -> None:
    end = time.time() + 60
    claims = {"subscribe": ["chat.*", "user:{sub}"], "publish": ["chat.*"], "meta": {"name": "Bob"}}
    grant = tokens().grant(signed(claims | {"exp": end, "iat": end - 100, "jti": "t1"}))
    assert grant == Grant("bob", ("chat.*", "user:{sub}"), ("chat.*",), {"name": "Bob"}, end, end - 100, "t1")


def test_a_token_with_an_end_alone_grants_what_is_open_to_all() -> None:
    grant = tokens(always=["news"]).grant(signed({"sub": ...}))
    assert (grant.user, grant.subscribe, grant.publish) == ("", ("news",), ())


def test_a_token_gives_no_less_than_no_token() -> None:
    assert tokens(always=["news", "wukong:*"]).grant(signed({"subscribe": ["a"]})).subscribe == (
        "a",
        "news",
        "wukong:*",
    )


def test_a_token_without_an_id_has_one_all_the_same() -> None:
    token = signed({"subscribe": ["a"]})
    grant = tokens().grant(token)
    assert grant.token_id.startswith("sha256:")
    assert tokens().grant(token).token_id == grant.token_id, "the same in every worker"
    assert tokens().grant(signed({"subscribe": ["b"]})).token_id != grant.token_id


def test_a_signature_that_is_written_in_another_way_makes_no_other_token() -> None:
    """Otherwise a kicked user could come back by turning a bit: (r, s) and (r, n - s) are both right."""
    keys = Keys({"ES256": ec_key().public_key()})
    token = signed(key=ec_key(), algorithm="ES256")
    head, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{head}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"
    assert twin != token
    assert tokens(keys).grant(twin).token_id == tokens(keys).grant(token).token_id


def test_rs256_and_es256_are_taken_by_public_key_file(tmp_path: Path) -> None:
    for key, algorithm in ((rsa_key(), "RS256"), (ec_key(), "ES256")):
        file = tmp_path / f"{algorithm}.pem"
        file.write_text(pem(key))
        keys = read_keys("", str(file))
        assert keys.algorithms == [algorithm]
        assert tokens(keys).grant(signed(key=key, algorithm=algorithm)).user == "bob"


def test_a_key_set_is_asked_by_kid(tmp_path: Path) -> None:
    keys = key_set(tmp_path, row(rsa_key(), "old"), row(ec_key(), "new", use="sig", alg="ES256"))
    assert tokens(keys).grant(signed(key=rsa_key(), algorithm="RS256", kid="old")).user == "bob"
    assert tokens(keys).grant(signed(key=ec_key(), algorithm="ES256", kid="new")).user == "bob"
    assert refusal(signed(key=ec_key(), algorithm="ES256", kid="old"), tokens(keys)) == "token_key"


def test_a_secret_and_a_public_key_go_side_by_side_while_one_replaces_the_other(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(rsa_key()))
    both = tokens(read_keys(SECRET, str(tmp_path / "key.pem")))
    assert both.grant(signed()).user == both.grant(signed(key=rsa_key(), algorithm="RS256")).user == "bob"


def test_an_audience_may_be_one_of_several() -> None:
    taken = tokens(audience="simulcast", issuer="https://login.example")
    claims = {"aud": ["shop", "simulcast"], "iss": "https://login.example"}
    assert taken.grant(signed(claims)).user == "bob"


def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    ahead = time.time() + 3
    grant = tokens().grant(signed({"nbf": ahead, "iat": ahead}))
    assert grant.issued_at <= time.time(), "or a revocation would not reach it yet"


# Remembered


def test_a_token_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tokens()
    token = signed()
    first = taken.grant(token)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("checked again"))
    assert taken.grant(token) is first


def test_what_is_remembered_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.identity.tokens._CACHED_TOKENS", 3)
    taken = tokens()
    made = [signed({"jti": str(number)}) for number in range(4)]
    kept = taken.grant(made[0])
    for token in made[1:3]:
        taken.grant(token)
    assert taken.grant(made[0]) is kept
    again = taken.grant(made[1])
    taken.grant(made[3])
    assert taken.grant(made[1]) is again
    assert len(taken._cached) == 3


def test_a_refused_token_takes_no_memory() -> None:
    taken = tokens()
    for number in range(10):
        refusal(signed({"jti": str(number)}, key="t" * 32), taken)
    assert not taken._cached


# Minted


def test_a_minted_token_is_taken() -> None:
    token = mint(
        SECRET, seconds=60, user="bob", subscribe=["a.*"], publish=["a.b"], meta={"n": 1}, audience="x", issuer="y"
    )
    grant = tokens(audience="x", issuer="y").grant(token)
    assert (grant.user, grant.subscribe, grant.publish, grant.meta) == ("bob", ("a.*",), ("a.b",), {"n": 1})
    assert grant.expires_at == pytest.approx(grant.issued_at + 60)
    assert grant.issued_at == pytest.approx(time.time(), abs=5)
    assert grant.token_id


def test_no_two_minted_tokens_have_one_id() -> None:
    taken = tokens()
    assert len({taken.grant(mint(SECRET, seconds=60)).token_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "wrong", [{"subscribe": ["a*b"]}, {"user": "a\nb"}, {"meta": {"a": "x" * 5000}}, {"publish": [""]}, {"seconds": -1}]
)
def test_what_would_not_be_taken_is_not_minted(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnauthorizedError):
        mint(SECRET, **{"seconds": 60} | wrong)


def test_claims_make_the_same_grant_for_every_reader() -> None:
    claims = {"exp": NOW + 10, "iat": NOW + 4, "sub": "bob"}
    grant = grant_of(claims, "t", NOW, 10)
    assert grant == Grant("bob", (), (), {}, NOW + 10, NOW, "t")
