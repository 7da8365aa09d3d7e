"""Fetch: the list of a source, read with a limit on time, bytes and records, so that no source can harm the service."""

from __future__ import annotations

import urllib.request
from hashlib import blake2b
from http.client import HTTPException
from typing import NamedTuple

import gevent
import msgspec
from msgspec import UNSET, Struct, UnsetType

from ...web import body as bodies
from ...web.errors import ApiError
from . import schemas

#: For the whole answer.
SECONDS = 10.0
_MOST_BYTES = 4 << 20
_MOST_RECORDS = 10_000
_PIECE_BYTES = 64 << 10


class SourceError(Exception):
    """A source gave no list of records."""


class Item(Struct, rename="camel"):
    """A record of a source. Other fields are ignored."""

    credits_used: schemas.Credits
    model: schemas.Model
    created_at: schemas.Moment
    id: int | str | UnsetType = UNSET


class Answer(NamedTuple):
    """What a source answered.

    Attributes:
        digest: Of its bytes.
    """

    items: list[Item]
    digest: bytes


_items = msgspec.json.Decoder(list[Item])


def fetch(url: str) -> Answer:
    """Return the list of a source. Switches.

    Raises:
        SourceError: There is none: the source can't be reached, or answers something else.
    """
    try:
        with gevent.Timeout(SECONDS):
            text = _read(url)
    except gevent.Timeout:
        raise SourceError(f"no whole answer within {SECONDS:g} s") from None
    except (OSError, HTTPException, ValueError) as error:  # an URLError is an OSError
        # A source chooses the text behind its status, and not every database stores each character.
        told = "".join(one if one.isprintable() else "?" for one in str(error)[:200])
        raise SourceError(told or type(error).__name__) from None
    return Answer(_parsed(text), blake2b(text, digest_size=16).digest())


def _read(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "simulcast"})
    pieces, size = [], 0
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        while piece := answer.read(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                raise SourceError(f"more than {_MOST_BYTES >> 20} MiB")
    return b"".join(pieces)


def _parsed(text: bytes) -> list[Item]:
    try:
        items = bodies.parse(text, _items)
    except msgspec.ValidationError as error:
        raise SourceError(f"not a list of records: {str(error)[:200]}") from None
    except ApiError:
        raise SourceError("not JSON") from None
    if len(items) > _MOST_RECORDS:
        raise SourceError(f"more than {_MOST_RECORDS} records")
    return items
