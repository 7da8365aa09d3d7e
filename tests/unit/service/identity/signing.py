"""Keys, and tokens that are signed with them, well or badly."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.flask_simulcast import UnauthorizedError
from app.identity.keys import Keys, read_keys
from app.identity.tokens import Tokens

SECRET = "s" * 32
NOW = 1_763_690_000.5
DAY = 86400.0


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


def key_set(folder: Path, *rows: dict[str, Any]) -> Keys:
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": rows}))
    return read_keys("", str(file))
