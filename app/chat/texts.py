"""What rooms and people may be called, and what may be said. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from ..errors import ApiError

MAX_ROOM_CHARACTERS = 64
MAX_NAME_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 4000
#: Stands before the name of somebody for whom no token vouches, where both kinds are listed together. No name begins with it.
UNVERIFIED = "?"

_ROOM = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # no colon: what belongs to a room is named behind one
_REPLACEMENT = "\ufffd"  # what was no UTF-8 in a URL has become this, and would be somebody else
# Nothing to be seen, or something that turns the text around it; and line ends. Unassigned characters are let through:
# they are the emoji of next year.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Join letters and emoji, within a name: Persian and Indic scripts need them.
_JOINERS = "\u200c\u200d"


def check_room(room: str) -> str:
    """Return ``room`` if it can be a room's name.

    Raises:
        ApiError: 400 ``room_name``.
    """
    if _ROOM.fullmatch(room) is None:
        raise ApiError(
            400,
            "room_name",
            f"{room[:64]!a} is not a room. Use 1 to {MAX_ROOM_CHARACTERS} characters of A-Z a-z 0-9 . _ -",
        )
    return room


def check_name(name: str) -> str:
    """Return ``name`` if somebody can be called so: it can be seen, and is one line.

    Raises:
        ApiError: 400 ``no_user``, ``user_name``.
    """
    if not name:
        raise ApiError(400, "no_user", "There is no user. Say who you are: ?user=ann for a stream, user in a body.")
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        _refuse_name(f"it has {len(name)} characters")
    if name.startswith(UNVERIFIED) or name != name.strip(" " + _JOINERS):
        _refuse_name(f"it begins with a {UNVERIFIED}, or it begins or ends with a space")
    unseen = next((one for one in name if one not in " " + _JOINERS and unicodedata.category(one) in _UNSEEN), None)
    if unseen is not None or _REPLACEMENT in name:
        _refuse_name(f"it has the character U+{ord(unseen or _REPLACEMENT):04X} in it")
    if all(unicodedata.category(one).startswith("M") for one in name):
        _refuse_name("it has accents alone")
    return name


def clean_text(text: str) -> str:
    """What somebody says, with LF as the only line end.

    Raises:
        ApiError: 400 ``message_text``: empty, too long, or with a control character in it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        _refuse_text("is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        _refuse_text(f"has {len(text)} characters")
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in text if one not in "\n\t"):
        _refuse_text("has a control character or half a surrogate pair in it")
    return text


def _refuse_name(why: str) -> NoReturn:
    raise ApiError(
        400,
        "user_name",
        f"This can't be a user's name: {why}. Use 1 to {MAX_NAME_CHARACTERS} characters that can be seen.",
    )


def _refuse_text(why: str) -> NoReturn:
    raise ApiError(400, "message_text", f"The message {why}. Send text of 1 to {MAX_TEXT_CHARACTERS} characters.")
