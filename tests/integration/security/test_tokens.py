"""Forged tokens, each against two real workers.

What forges a token in other ways, without a server, is in `tests/unit/service/identity/test_forged_tokens.py`.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.integration.security.attacks import AUDIENCE, bearer, is_let_in, refusal, secret
from tests.tools.fleet import JWT_KEY
from tests.tools.serving import KEY, Server, serve


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    head = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return secret(f"{head}.{part(hmac.digest(key, head.encode(), sha256))}")


CLAIMS = {"sub": "root", "aud": AUDIENCE, "subscribe": ["*"], "publish": ["*"], "exp": time.time() + 600}


def test_alg_none(server: Server) -> None:
    forged = secret(jwt.encode(CLAIMS, "", algorithm="none"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_algorithm")
    assert refusal(server, "POST", "/api/v1/events", {"channel": "a", "data": 1}, bearer(forged))[0] == 401


def test_hs_rs_confusion_and_unknown_kid(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key()
    row = dict(RSAAlgorithm.to_jwk(public, as_dict=True)) | {"kid": "1"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [row]}))
    with serve(
        tmp_path / "server", jwt_public_key_file=tmp_path / "jwks.json", jwt_audience=AUDIENCE, anonymous_channels=""
    ) as server:
        good = jwt.encode(CLAIMS, private, "RS256", headers={"kid": "1"})
        assert is_let_in(server, bearer(good))
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for known in (pem, pem.strip(), json.dumps(row).encode(), (tmp_path / "jwks.json").read_bytes(), b""):
            forged = by_hand({"alg": "HS256", "kid": "1"}, CLAIMS, known)
            assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (
                401,
                "token_algorithm",
            )
        for kid in ("2", "../../../dev/null", "https://evil.example/jwks.json", "1' OR '1'='1", "/etc/passwd", "1\0"):
            forged = jwt.encode(CLAIMS, private, "RS256", headers={"kid": kid})
            assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_key")


def test_publish_key_may_have_any_letters(tmp_path: Path) -> None:
    key = "schlüssel-钥匙-" * 3
    with serve(tmp_path, publish_key=key) as server:
        for sent, status in ((key.encode().decode("latin-1"), 201), ("schl?ssel-??-" * 3, 401)):
            headers = {"Authorization": f"Bearer {sent}"}
            assert server.request("POST", "/api/v1/events", {"channel": "a", "data": 1}, headers)[0] == status


@pytest.mark.parametrize("audience", [None, "shop", ["shop", "simulcast2"], ""])
def test_wrong_audience(server: Server, audience: Any) -> None:
    claims = CLAIMS | {"aud": audience}
    forged = secret(jwt.encode({k: v for k, v in claims.items() if v is not None}, JWT_KEY, "HS256"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_audience")


def test_the_key_of_another_service(server: Server) -> None:
    forged = secret(jwt.encode(CLAIMS, "x" * 32, "HS256"))
    assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, "token_signature")


def test_a_token_for_ever(server: Server) -> None:
    for end, code in ((time.time() + 10 * 86400, "token_too_long"), (None, "token_claims")):
        claims = {k: v for k, v in (CLAIMS | {"exp": end}).items() if v is not None}
        forged = secret(jwt.encode(claims, JWT_KEY, "HS256"))
        assert refusal(server, "GET", "/api/v1/stream?channel=closed.a", None, bearer(forged)) == (401, code)


@pytest.mark.parametrize("guess", [KEY[:-1], KEY + "x", KEY.upper(), "", "*", "null", "undefined", "Bearer"])
def test_guesses_at_the_key(server: Server, guess: str) -> None:
    assert refusal(server, "POST", "/api/v1/events", {"channel": "a", "data": 1}, bearer(guess)) == (
        401,
        "token_malformed",
    )
