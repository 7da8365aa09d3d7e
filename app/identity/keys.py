"""Keys: the keys that tokens are checked with. Read once, at start.

Each key is used with one algorithm. The key decides it, never the token: a public key must not be used as a secret
(RFC 8725, 2.1 and 3.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from ..flask_simulcast import SettingError, UnauthorizedError

MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: as long as the hash
_MIN_RSA_BITS = 2048  # RFC 7518, 3.3
_MAX_FILE_BYTES = 1 << 20
_SETTING = "SIMULCAST_JWT_PUBLIC_KEY_FILE"
_HS256, _RS256, _ES256 = "HS256", "RS256", "ES256"


@dataclass(frozen=True)
class Keys:
    """Finds the key for a token.

    Attributes:
        single: For an algorithm, the key of all its tokens.
        named: For an algorithm and a ``kid``, a key of a key set.
    """

    single: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that have a key."""
        return sorted({*self.single, *(algorithm for algorithm, _ in self.named)})

    def find(self, algorithm: object, kid: object) -> tuple[str, Any]:
        """Return the algorithm and the key for a token's header. Its ``kid`` is only looked up in a table.

        Raises:
            UnauthorizedError: ``token_algorithm`` or ``token_key``.
        """
        known = self.algorithms
        if not isinstance(algorithm, str) or algorithm not in known:
            how = (
                f"Use {' or '.join(known)}" if known else "The service has no key for tokens yet: set SIMULCAST_JWT_KEY"
            )
            raise UnauthorizedError(f"The token is signed in a way that is not taken here. {how}.", "token_algorithm")
        key = self.single.get(algorithm)
        if key is None and isinstance(kid, str):
            key = self.named.get((algorithm, kid))
        if key is None:
            raise UnauthorizedError(
                "The token names no key (kid) of the key set. Get a new token; or let the service read the new key set.",
                "token_key",
            )
        return algorithm, key


def read_keys(secret: str, public_key_file: str) -> Keys:
    """Read the keys of the settings.

    Args:
        secret: The secret; empty for none.
        public_key_file: File of a public key in PEM, or of a key set in JSON; empty for none.

    Raises:
        SettingError: A key is invalid.
    """
    single: dict[str, Any] = {_HS256: _secret(secret)} if secret else {}
    if not public_key_file:
        return Keys(single)
    text = _read(public_key_file)
    if text.lstrip().startswith(b"{"):
        return Keys(single, _key_set(public_key_file, text))
    algorithm, key = _public_key(public_key_file, text)
    return Keys(single | {algorithm: key})


def _secret(text: str) -> bytes:
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(text)
    except jwt.InvalidKeyError:
        # PyJWT recognises a PEM. A public key as the secret would let anyone sign tokens.
        raise SettingError(
            "SIMULCAST_JWT_KEY=(not shown) is a public key or certificate. Name its file in SIMULCAST_JWT_PUBLIC_KEY_FILE."
        ) from None


def _public_key(path: str, text: bytes) -> tuple[str, Any]:
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise SettingError(f"{_SETTING}={path!r} is no public key. {_HOW_TO_PEM}") from None
    algorithm = _algorithm_of(key)
    if algorithm is None:
        raise SettingError(
            f"{_SETTING}={path!r} is neither an RSA key of at least {_MIN_RSA_BITS} bits nor a P-256 key. {_HOW_TO_PEM}"
        )
    return algorithm, key


_HOW_TO_PEM = "Use PEM text, for example from: openssl pkey -in private.pem -pubout"


def _key_set(path: str, text: bytes) -> dict[tuple[str, str], Any]:
    """Return the keys of a JWKS file (RFC 7517). Keys for other uses and algorithms are skipped."""
    try:
        rows = json.loads(text)["keys"]
        found = [row for row in rows if row.get("use", "sig") == "sig"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SettingError(f'{_SETTING}={path!r} is no key set. Use JSON: {{"keys": [{{"kid": "1", …}}]}}.') from None
    _require_cryptography()
    keys: dict[tuple[str, str], Any] = {}
    for number, row in enumerate(found):
        where = f"{_SETTING}={path!r}, key {number}"
        if row.get("kty") == "oct" or "d" in row:
            raise SettingError(f"{where}, is secret. Put public keys alone into a key set, and make that key anew.")
        algorithm, key = _from_row(row, where)
        if algorithm is None:
            continue
        kid = row.get("kid")
        if not isinstance(kid, str) or not kid or (algorithm, kid) in keys:
            raise SettingError(
                f"{where}, has no kid of its own. Name each key, so that tokens can say which is theirs."
            )
        keys[algorithm, kid] = key
    if not keys:
        raise SettingError(
            f"{_SETTING}={path!r} has no key for {_RS256} or {_ES256}. Use an RSA key of {_MIN_RSA_BITS} bits, or a P-256 key."
        )
    return keys


def _from_row(row: Mapping[str, Any], where: str) -> tuple[str | None, Any]:
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    kinds: dict[str, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm}
    kind = kinds.get(str(row.get("kty")))
    if kind is None:
        return None, None
    try:
        key = kind.from_jwk(dict(row))
    except (jwt.InvalidKeyError, ValueError, KeyError, TypeError):
        raise SettingError(f"{where}, can't be read. Get the file again from the issuer of the tokens.") from None
    algorithm = _algorithm_of(key)
    return (algorithm if row.get("alg", algorithm) == algorithm else None), key


def _algorithm_of(key: Any) -> str | None:
    """Return the algorithm that a public key is used with; None for a key that is too weak or of another kind."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return _RS256
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return _ES256
    return None


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise SettingError(
            f"{_SETTING}={path!r} can't be read: {error.strerror}. Name a file that the service may read."
        ) from None


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise SettingError(
            f"{_SETTING} needs the package cryptography, which is not installed. Use: pip install 'pyjwt[crypto]'"
        ) from None
