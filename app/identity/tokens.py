"""Tokens: JSON Web Tokens (RFC 7519) to grants, and grants to tokens.

A token names its user and the user's rights. Any issuer that has the key can write one. All claims are checked anyway: a
mistake of the issuer must not grant more than was meant, nor cause an error of the server.

No message of this module carries a token or a part of one.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NoReturn

import jwt
from jwt.exceptions import InvalidJTIError, InvalidSubjectError
from jwt.utils import base64url_decode

from ..flask_simulcast import Grant, UnauthorizedError
from ..flask_simulcast.errors import InvalidEventError
from .keys import Keys

MAX_TOKEN_CHARACTERS = 8192  # about gunicorn's limit for one header field
MAX_PATTERNS = 100
MAX_PATTERN_CHARACTERS = 256
MAX_META_BYTES = 4096
MAX_TOKEN_ID_CHARACTERS = 128
#: Seconds by which the issuer's clock may be ahead of this one. The end of a token gets no such leeway.
LEEWAY_SECONDS = 5

_CACHED_TOKENS = 4096  # a few kB each
_MAX_TIME = 1 << 53  # whole seconds that a JSON number holds; larger ones overflow a float
_OPTIONS: Any = {"require": ["exp"], "verify_exp": False}  # `exp` is checked here, against a clock that tests can set

# The first that fits. PyJWT's own messages are not shown: they may quote the token.
_REASONS: tuple[tuple[type[jwt.InvalidTokenError], str, str], ...] = (
    (jwt.ImmatureSignatureError, "token_not_yet", "The token is not valid yet. Wait, or set the clock of the issuer."),
    (jwt.InvalidAudienceError, "token_audience", "The token is for another audience (aud). Get one for this service."),
    (jwt.InvalidIssuerError, "token_issuer", "The token is from another issuer (iss). Get one from the issuer of this service."),
    (jwt.InvalidSignatureError, "token_signature", "The token is signed with another key. Get a new one."),
    (jwt.InvalidIssuedAtError, "token_claims", "The token's iat is no time. Use Unix seconds."),
    (InvalidSubjectError, "token_claims", "The token's sub is not text. Use the user's name."),
    (InvalidJTIError, "token_claims", "The token's jti is not text. Use an id of its own for each token."),
    (jwt.InvalidTokenError, "token_malformed", "This is not a JSON Web Token. Check how it was copied."),
)  # fmt: skip
# RFC 8725, 3.11: a token of another kind, for example a logout token, is not an access token. A token without a typ is one.
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_MISSING = {"aud": "token_audience", "iss": "token_issuer"}


class Tokens:
    """Checks tokens, and caches the grants of checked ones.

    Args:
        keys: Keys that tokens may be signed with.
        audience, issuer: Value that ``aud`` must contain and ``iss`` must be; empty for tokens without them.
        max_seconds: Maximum of seconds from now to the end of a token.
        always: Patterns that are open to all clients, and so to every token.
        clock: Returns Unix seconds.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        audience: str = "",
        issuer: str = "",
        max_seconds: float,
        always: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._audience = audience or None
        self._issuer = issuer or None
        self._max_seconds = max_seconds
        self._always = tuple(always)
        self._clock = clock
        self._cached: OrderedDict[bytes, Grant] = OrderedDict()

    def grant(self, token: str) -> Grant:
        """Return the grant of a token. A token that was checked before costs a hash; 4096 are cached.

        Raises:
            UnauthorizedError: The token is invalid; ``code`` says why.
        """
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            _refuse("token_malformed", "This is no JSON Web Token, or one of more than 8 KiB. Look how it was copied.")
        digest = sha256(token.encode()).digest()
        grant = self._cached.get(digest)
        if grant is None:
            grant = self._cached[digest] = self._checked(token)
            if len(self._cached) > _CACHED_TOKENS:
                self._cached.popitem(last=False)
            return grant
        self._cached.move_to_end(digest)
        if grant.expires_at is not None and grant.expires_at <= self._clock():
            del self._cached[digest]
            _refuse_expired()
        return grant

    def _checked(self, token: str) -> Grant:
        _check_shape(token)
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key = self._keys.find(header.get("alg"), header.get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options=_OPTIONS,
            )
        except jwt.MissingRequiredClaimError as error:
            code = _MISSING.get(error.claim, "token_claims")
            raise UnauthorizedError(f"The token has no {error.claim}. Get one that has.", code) from None
        except jwt.InvalidTokenError as error:
            code, message = next((code, message) for kind, code, message in _REASONS if isinstance(error, kind))
            raise UnauthorizedError(message, code) from None
        # Without the signature at the end of the text, which can be written in more than one way.
        name = "sha256:" + sha256(token.rpartition(".")[0].encode()).hexdigest()[:32]
        return grant_of(claims, name, self._clock(), self._max_seconds, self._always)


def grant_of(
    claims: Mapping[str, Any], default_id: str, now: float, max_seconds: float, always: Sequence[str] = ()
) -> Grant:
    """Check claims, and make a grant of them. Pure.

    Args:
        claims: ``exp``, and optionally ``sub``, ``subscribe``, ``publish``, ``meta``, ``iat``, ``jti``.
        default_id: Id of a token without ``jti``, so that each token can be revoked.
        now: Unix seconds.
        max_seconds: Maximum of seconds from now to its end.
        always: Patterns added to ``subscribe``.

    Raises:
        UnauthorizedError: ``token_expired``, ``token_too_long``, or ``token_claims``.
    """
    expires_at = _time(claims, "exp")
    if expires_at <= now:
        _refuse_expired()
    if expires_at > now + max_seconds:
        _refuse(
            "token_too_long",
            f"The token ends too late. Get one that holds for at most {max_seconds:g} s, or raise SIMULCAST_MAX_GRANT_SECONDS.",
        )
    try:
        return Grant(
            user=_text(claims, "sub", ""),
            subscribe=(*_patterns(claims, "subscribe"), *always),
            publish=_patterns(claims, "publish"),
            meta=_meta(claims),
            expires_at=expires_at,
            # Not later than now: otherwise a revocation would miss tokens of an issuer whose clock is ahead.
            issued_at=min(_time(claims, "iat", 0), now),
            token_id=_text(claims, "jti", default_id),
        )
    except InvalidEventError:
        _refuse("token_claims", "The token's sub is not a valid name. Use 1 to 128 characters without line breaks.")


def mint(
    key: str,
    *,
    seconds: float,
    user: str = "",
    subscribe: Sequence[str] = (),
    publish: Sequence[str] = (),
    meta: Mapping[str, Any] | None = None,
    audience: str = "",
    issuer: str = "",
) -> str:
    """Return a token, signed with HS256. Its time of issue has fractions, so that a revocation in the same second is exact.

    Args:
        key: The secret, of at least 32 bytes.
        seconds: Seconds for which the token is valid.
        user, subscribe, publish, meta: As in `Grant`.
        audience, issuer: ``aud`` and ``iss``; empty for none.

    Raises:
        UnauthorizedError: The service would refuse the token.
    """
    now = time.time()
    claims: dict[str, Any] = {"iat": now, "exp": now + seconds, "jti": secrets.token_urlsafe(12)}
    claims |= {"subscribe": list(subscribe), "publish": list(publish)}
    optional = {"sub": user, "meta": meta, "aud": audience, "iss": issuer}
    claims |= {name: value for name, value in optional.items() if value}
    grant_of(claims, "", now, seconds)
    return jwt.encode(claims, key, algorithm="HS256")


def _check_shape(token: str) -> None:
    """Refuse what the library accepts: a duplicate name, of which it takes the last and another parser might take the first; a
    token of another type; and an empty list of audiences, which is not the same as no list.

    Raises:
        UnauthorizedError: ``token_malformed``, ``token_type`` or ``token_audience``.
    """
    try:
        header, claims = (_object(part) for part in token.split(".")[:2])
    except (ValueError, RecursionError):
        _refuse("token_malformed", "This is not a JSON Web Token. Check how it was copied.")
    type = header.get("typ", "JWT")
    if not isinstance(type, str) or type.lower() not in _TYPES:
        _refuse("token_type", "The token has another type (typ). Use one of type JWT or at+jwt.")
    if claims.get("aud", "") == []:
        _refuse("token_audience", "The token is for no audience (aud). Get one for this service.")


def _object(part: str) -> dict[str, Any]:
    value = json.loads(base64url_decode(part), object_pairs_hook=_each_once)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the text is wrong
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a duplicate name")
    return found


def _time(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_TIME:
        _refuse("token_claims", f"The token's {name} is no time. Use Unix seconds.")
    return value


def _text(claims: Mapping[str, Any], name: str, default: str) -> str:
    value = claims.get(name, default)
    if name in claims and not _is_text(value, MAX_TOKEN_ID_CHARACTERS):
        _refuse(
            "token_claims", f"The token's {name} can't be used. Use text of 1 to {MAX_TOKEN_ID_CHARACTERS} characters."
        )
    return str(value)


def _is_text(value: object, most: int) -> bool:
    """Tell whether a value is text of 1 to ``most`` characters, without half a surrogate pair, which can't be stored."""
    return isinstance(value, str) and 1 <= len(value) <= most and not any("\ud800" <= one <= "\udfff" for one in value)


def _patterns(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(_is_text(pattern, MAX_PATTERN_CHARACTERS) for pattern in value):
        _refuse("token_claims", f'The token\'s {name} is no list of patterns. Use for example ["chat.*"].')
    if len(value) > MAX_PATTERNS:
        _refuse(
            "token_claims",
            f"The token's {name} has {len(value)} patterns. Use at most {MAX_PATTERNS}; a star stands for many.",
        )
    if any("*" in pattern[:-1] for pattern in value):
        _refuse("token_claims", f"A pattern of the token's {name} has a star before its end. Put it at the end: chat.*")
    return tuple(value)


def _meta(claims: Mapping[str, Any]) -> dict[str, Any]:
    value = claims.get("meta", {})
    try:
        is_fit = isinstance(value, dict) and len(json.dumps(value, allow_nan=False).encode()) <= MAX_META_BYTES
    except (ValueError, RecursionError):
        is_fit = False
    if not is_fit:
        _refuse("token_claims", f"The token's meta can't be used. Use a JSON object of at most {MAX_META_BYTES} bytes.")
    return dict(value)


def _refuse(code: str, message: str) -> NoReturn:
    raise UnauthorizedError(message, code)


def _refuse_expired() -> NoReturn:
    _refuse("token_expired", "The token has expired. Get a new one.")
