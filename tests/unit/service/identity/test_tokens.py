"""Tokens: what is let in, and every way to forge one that somebody has thought of."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.flask_simulcast import Grant, SettingError, UnauthorizedError
from app.identity.keys import Keys, read_keys
from app.identity.tokens import MAX_META_BYTES, MAX_PATTERNS, Tokens, grant_of, mint

SECRET = "s" * 32
NOW = 1_763_690_000.5
DAY = 86400.0


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def row(key: Any, kid: str, **more: object) -> dict[str, Any]:
    kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return dict(kind.to_jwk(key.public_key(), as_dict=True)) | {"kid": kid} | more


def signed(claims: Any = None, *, key: Any = SECRET, algorithm: str = "HS256", **header: object) -> str:
    """A token with a good signature. Its end is from the real clock: PyJWT reads that one for iat and nbf."""
    given = {"sub": "bob", "exp": time.time() + 60} | (claims or {})
    return jwt.encode({k: v for k, v in given.items() if v is not ...}, key, algorithm, headers=header or None)


def by_hand(header: Any, claims: Any, secret: str = SECRET) -> str:
    """A token that no library would write."""

    def part(value: Any) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    head = f"{part(header)}.{part(claims)}"
    return f"{head}.{part(hmac.digest(secret.encode(), head.encode(), sha256))}"


def tokens(keys: Keys | None = None, **options: Any) -> Tokens:
    return Tokens(read_keys(SECRET, "") if keys is None else keys, **{"max_seconds": DAY} | options)


def refusal(token: str, taken: Tokens | None = None) -> str:
    """The reason, which never shows the token."""
    with pytest.raises(UnauthorizedError) as refused:
        (taken or tokens()).grant(token)
    error = refused.value
    assert error.__cause__ is None
    message = str(error)
    assert len(message) < 200
    assert not any(part in message for part in token.split(".") if len(part) > 8)
    return error.code


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
    """Or whoever was kicked for good could come back by turning a bit: (r, s) and (r, n - s) are both right."""
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


# What is not


def key_set(folder: Path, *rows: dict[str, Any]) -> Keys:
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": rows}))
    return read_keys("", str(file))


def test_alg_none_is_refused() -> None:
    claims = {"sub": "root", "exp": time.time() + 60, "publish": ["*"]}
    for name in ("none", "None", "NONE", "nOnE"):
        assert refusal(by_hand({"alg": name, "typ": "JWT"}, claims)) == "token_algorithm"
    unsigned = jwt.encode(claims, "", algorithm="none")
    assert refusal(unsigned) == "token_algorithm"
    assert refusal(unsigned.rstrip(".")) == "token_malformed"


@pytest.mark.parametrize("looks", ["pem", "der", "jwk"])
def test_a_public_key_is_not_taken_for_a_secret(tmp_path: Path, looks: str) -> None:
    """HS/RS confusion: an HMAC over what everybody knows."""
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
    """A revocation is remembered for so long, and no longer."""
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


def test_a_token_for_somebody_in_particular_is_refused_where_nobody_is_named() -> None:
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


def test_claims_make_the_same_grant_whoever_reads_them() -> None:
    claims = {"exp": NOW + 10, "iat": NOW + 4, "sub": "bob"}
    grant = grant_of(claims, "t", NOW, 10)
    assert grant == Grant("bob", (), (), {}, NOW + 10, NOW, "t")


# Keys


def missing(_: Path) -> tuple[str, str]:
    return "", "/nowhere/key.pem"


def not_pem(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text("hello")
    return "", str(folder / "key")


def weak(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text(pem(rsa.generate_private_key(65537, 1024)))
    return "", str(folder / "key")


def other_curve(folder: Path) -> tuple[str, str]:
    (folder / "key").write_text(pem(ec.generate_private_key(ec.SECP384R1())))
    return "", str(folder / "key")


def pem_as_secret(_: Path) -> tuple[str, str]:
    return pem(rsa_key()), ""


def of_rows(*rows: Any) -> Callable[[Path], tuple[str, str]]:
    def write(folder: Path) -> tuple[str, str]:
        (folder / "jwks").write_text(json.dumps({"keys": rows}))
        return "", str(folder / "jwks")

    return write


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (missing, "No such file"),
        (not_pem, "no public key"),
        (weak, "2048"),
        (other_curve, "P-256"),
        (pem_as_secret, "(not shown)"),
        (of_rows(), "has no key"),
        (of_rows({"kty": "oct", "k": "c2VjcmV0", "kid": "1"}), "is secret"),
        (of_rows({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB", "kid": "1"}), "is secret"),
        (of_rows({"kty": "RSA", "kid": "1"}), "can't be read"),
        (of_rows({"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "kid": "1"}), "can't be read"),
        (of_rows({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "1"}), "has no key"),
        (of_rows("text"), "is no key set"),
        (of_rows(7), "is no key set"),
    ],
)  # fmt: skip
def test_a_key_that_can_not_be_used_stops_the_start(tmp_path: Path, make: Any, part: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_keys(*make(tmp_path))
    assert part in str(refused.value)
    assert "SIMULCAST_JWT_" in str(refused.value)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("rows", [[("", "RS256")], [(7, "RS256")], [("a", "RS256"), ("a", "RS256")]])
def test_each_key_of_a_set_has_a_name_of_its_own(tmp_path: Path, rows: list[tuple[Any, str]]) -> None:
    with pytest.raises(SettingError, match="kid"):
        key_set(tmp_path, *(row(rsa_key(), kid) for kid, _ in rows))


def test_keys_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    keys = key_set(tmp_path, row(rsa_key(), "1", use="enc"), row(rsa_key(), "2", alg="PS256"), row(ec_key(), "3"))
    assert list(keys.named) == [("ES256", "3")]


def test_without_cryptography_the_start_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(pem(rsa_key()))
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    with pytest.raises(SettingError, match=r"pip install 'pyjwt\[crypto\]'"):
        read_keys("", str(tmp_path / "key"))
    assert read_keys(SECRET, "").algorithms == ["HS256"], "a secret needs it not"
