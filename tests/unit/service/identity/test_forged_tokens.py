"""All known ways to forge a token are refused."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast import Grant, UnauthorizedError
from app.identity.keys import Keys, read_keys
from app.identity.tokens import MAX_META_BYTES, MAX_PATTERNS
from tests.unit.service.identity.signing import DAY, NOW, SECRET, key_set, pem, refusal, row, rsa_key, signed, tokens


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def by_hand(header: Any, claims: Any, secret: str = SECRET) -> str:
    """A token that no library would write."""

    def part(value: Any) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    head = f"{part(header)}.{part(claims)}"
    return f"{head}.{part(hmac.digest(secret.encode(), head.encode(), sha256))}"


def test_alg_none_is_refused() -> None:
    claims = {"sub": "root", "exp": time.time() + 60, "publish": ["*"]}
    for name in ("none", "None", "NONE", "nOnE"):
        assert refusal(by_hand({"alg": name, "typ": "JWT"}, claims)) == "token_algorithm"
    unsigned = jwt.encode(claims, "", algorithm="none")
    assert refusal(unsigned) == "token_algorithm"
    assert refusal(unsigned.rstrip(".")) == "token_malformed"


@pytest.mark.parametrize("looks", ["pem", "der", "jwk"])
def test_a_public_key_is_not_taken_for_a_secret(tmp_path: Path, looks: str) -> None:
    """HS/RS confusion: an HMAC with a public key."""
    (tmp_path / "key.pem").write_text(pem(rsa_key()))
    text = {
        "pem": pem(rsa_key()),
        "der": rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).decode("latin-1"),
        "jwk": json.dumps(row(rsa_key(), "1")),
    }[looks]
    forged = by_hand({"alg": "HS256", "typ": "JWT", "kid": "1"}, {"exp": time.time() + 60}, text)
    for keys in (read_keys("", str(tmp_path / "key.pem")), key_set(tmp_path, row(rsa_key(), "1"))):
        assert refusal(forged, tokens(keys)) == "token_algorithm"
    both = read_keys(SECRET, str(tmp_path / "key.pem"))
    assert refusal(forged, tokens(both)) == "token_signature"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_hash_with_the_right_secret_is_refused(algorithm: str) -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(algorithm=algorithm)
    assert refusal(token) == "token_algorithm"


@pytest.mark.parametrize("algorithm", [["HS256"], {"HS256": 1}, 256, None, True, "hs256", "HS256 ", "", "HS256\0", ...])
def test_an_algorithm_that_is_not_ours_by_name_is_refused(algorithm: object) -> None:
    header = {"typ": "JWT"} if algorithm is ... else {"typ": "JWT", "alg": algorithm}
    assert refusal(by_hand(header, {"exp": time.time() + 60})) == "token_algorithm"


@pytest.mark.parametrize(
    "kid",
    [
        "unknown", "", "../../../dev/null", "/etc/passwd", "file:///dev/null", "https://evil.example/jwks.json",
        "' OR '1'='1", "1'; DROP TABLE leases; --", "|/bin/id", "x" * 4000, "old\0", "__class__", "Old",
    ],
)  # fmt: skip
def test_an_unknown_kid_is_a_name_in_no_table(tmp_path: Path, kid: str) -> None:
    keys = key_set(tmp_path, row(rsa_key(), "old"))
    assert refusal(signed(key=rsa_key(), algorithm="RS256", kid=kid), tokens(keys)) == "token_key"


@pytest.mark.parametrize("kid", [["old"], {"a": 1}, 7, None])
def test_a_kid_that_is_no_text_is_refused(tmp_path: Path, kid: object) -> None:
    keys = key_set(tmp_path, row(rsa_key(), "old"))
    assert refusal(by_hand({"alg": "RS256", "kid": kid}, {"exp": 1}), tokens(keys)) in ("token_key", "token_malformed")


def test_keys_that_a_token_brings_itself_are_not_looked_at() -> None:
    own = row(rsa_key(), "1")
    token = signed(
        key=rsa_key(), algorithm="RS256", jwk=own, jku="https://evil.example/jwks.json", x5u="https://evil.example"
    )
    assert refusal(token) == "token_algorithm"
    assert refusal(signed(key=SECRET[::-1] + "x", jwk={"kty": "oct", "k": "eA"})) == "token_signature"


def test_another_key_is_refused() -> None:
    assert refusal(signed(key="t" * 32)) == "token_signature"


def test_a_changed_payload_is_refused() -> None:
    head, _, rest = signed().partition(".")
    payload, _, signature = rest.partition(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"publish": ["*"]}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert refusal(f"{head}.{forged}.{signature}") == "token_signature"


def test_an_end_is_an_end() -> None:
    clock = Clock(time.time())
    taken = tokens(clock=clock)
    token = signed({"exp": clock.now + 1})
    assert taken.grant(token).user == "bob"
    clock.now += 0.999
    assert taken.grant(token).user == "bob", "from memory"
    clock.now += 0.001
    assert refusal(token, taken) == "token_expired", "from memory"
    assert refusal(token, taken) == "token_expired"
    assert refusal(signed({"exp": 0})) == "token_expired"


def test_one_that_begins_later_is_refused_and_not_remembered_as_good() -> None:
    for claim in ("nbf", "iat"):
        assert refusal(signed({claim: time.time() + 60})) == "token_not_yet"


def test_one_that_ends_too_late_is_refused() -> None:
    """A revocation is remembered for this time, and no longer."""
    assert refusal(signed({"exp": time.time() + DAY + 60})) == "token_too_long"
    assert refusal(signed({"exp": 10**15})) == "token_too_long"
    assert tokens().grant(signed({"exp": time.time() + DAY - 1})).user == "bob"


@pytest.mark.parametrize("audience", [..., "shop", ["shop"], "", [], ["simulcast2"], "simulcast ", "SIMULCAST"])
def test_another_audience_is_refused(audience: object) -> None:
    assert refusal(signed({"aud": audience}), tokens(audience="simulcast")) == "token_audience"


def test_a_token_for_an_empty_list_of_audiences_is_refused() -> None:
    """security, "tokens": ``aud: []`` passed as if it were none."""
    assert refusal(signed({"aud": []})) == "token_audience"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
def test_a_token_of_our_types_is_taken(typ: str) -> None:
    assert tokens().grant(signed(typ=typ)).user == "bob"


@pytest.mark.parametrize("typ", ["secevent+jwt", "logout+jwt", "dpop+jwt", "", 1, None, ["JWT"]])
def test_a_token_of_another_type_is_refused(typ: object) -> None:
    """RFC 8725, 3.11."""
    assert refusal(by_hand({"alg": "HS256", "typ": typ}, {"exp": time.time() + 60})) == "token_type"


@pytest.mark.parametrize("part", [0, 1])
def test_a_name_that_stands_twice_is_refused(part: int) -> None:
    """The library takes the last one; another reader may take the first."""
    parts = [b'{"alg": "HS256"}', json.dumps({"sub": "bob", "exp": time.time() + 60}).encode()]
    parts[part] = parts[part][:-1] + (b', "alg": "HS256"}', b', "sub": "ann"}')[part]
    text = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts)
    signature = hmac.digest(SECRET.encode(), text, "sha256")
    token = (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
    assert refusal(token) == "token_malformed"


def test_a_token_with_an_audience_is_refused_where_none_is_configured() -> None:
    assert refusal(signed({"aud": "shop"})) == "token_audience"


@pytest.mark.parametrize("issuer", [..., "https://evil.example", "", "https://login.example/"])
def test_another_issuer_is_refused(issuer: object) -> None:
    assert refusal(signed({"iss": issuer}), tokens(issuer="https://login.example")) == "token_issuer"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": ...}, {"exp": None}, {"exp": "1763690000"}, {"exp": True}, {"exp": [1]}, {"exp": float("inf")},
        {"exp": float("nan")}, {"exp": -1}, {"exp": 10**400}, {"iat": "now"}, {"iat": None}, {"iat": -5}, {"iat": True},
        {"sub": 7}, {"sub": None}, {"sub": ""}, {"sub": "x" * 129}, {"sub": ["bob"]}, {"sub": "a\nb"}, {"sub": "\ud800"},
        {"jti": 7}, {"jti": ""}, {"jti": "x" * 129}, {"jti": "\udfff"},
        {"subscribe": "chat.*"}, {"subscribe": {"chat.*": 1}}, {"subscribe": [7]}, {"subscribe": [["a"]]}, {"subscribe": None},
        {"subscribe": [""]}, {"subscribe": ["a*b"]}, {"subscribe": ["**"]}, {"subscribe": ["x" * 257]}, {"subscribe": ["\ud800"]},
        {"publish": "*"}, {"publish": 1}, {"publish": ["*a"]}, {"publish": ["a"] * (MAX_PATTERNS + 1)},
        {"meta": []}, {"meta": "x"}, {"meta": None}, {"meta": {"a": "x" * MAX_META_BYTES}}, {"meta": {"a": float("nan")}},
    ],
    ids=lambda claims: str(claims)[:40],
)  # fmt: skip
def test_claims_that_can_not_be_meant_are_refused(claims: dict[str, Any]) -> None:
    given = {"exp": time.time() + 60} | claims
    token = by_hand({"alg": "HS256"}, {k: v for k, v in given.items() if v is not ...})
    assert refusal(token) in ("token_claims", "token_malformed", "token_too_long", "token_not_yet")


def test_as_much_as_a_token_may_say_is_taken() -> None:
    claims = {
        "sub": "x" * 128, "jti": "é" * 128, "subscribe": ["a"] * MAX_PATTERNS, "meta": {"a": "x" * (MAX_META_BYTES - 10)},
    }  # fmt: skip
    assert tokens().grant(signed(claims)).user == "x" * 128


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "...", "a.b.c", "a.b", "secret", " ", "\0", "é.é.é", "x" * 8193, "x" * 5_000_000,
        by_hand([], {}), by_hand("HS256", {}), by_hand(b"{", {}), by_hand(b"\xff", {}), by_hand(b"[" * 4000, {}),
        by_hand({"alg": "HS256"}, b"{"), by_hand({"alg": "HS256"}, []), by_hand({"alg": "HS256"}, b"[" * 4000),
        by_hand({"alg": "HS256"}, b'{"exp":' + b"9" * 4400 + b"}"),
        by_hand({"alg": "HS256", "crit": ["x"], "x": 1}, {"exp": 1}), by_hand({"alg": "HS256", "b64": False}, {"exp": 1}),
    ],
    ids=lambda text: ascii(text[:24]),
)  # fmt: skip
def test_what_is_no_token_is_refused(text: str) -> None:
    assert refusal(text) in ("token_malformed", "token_algorithm")


def test_without_keys_no_token_is_taken() -> None:
    assert refusal(signed(), tokens(Keys())) == "token_algorithm"


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_makes_another_error_than_a_refusal(text: str) -> None:
    with pytest.raises(UnauthorizedError):
        tokens().grant(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "iat", "nbf", "sub", "jti", "subscribe", "publish", "meta", "aud"]), JSON
)


@given(CLAIMS, CLAIMS)
def test_no_claims_make_another_error_than_a_refusal(header: dict[str, Any], claims: dict[str, Any]) -> None:
    token = by_hand(header | {"alg": "HS256"}, {"exp": time.time() + 60} | claims)
    with contextlib.suppress(UnauthorizedError):
        assert isinstance(tokens().grant(token), Grant)
