"""Names of rooms and people, and texts of messages: which are valid. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from ...web.errors import ApiError
from . import unseen

MAX_ROOM_CHARACTERS = 64
MAX_NAME_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 4000
# One letter of a name in NFC can be several characters before: at most three in Unicode, a letter with two accents.
_MAX_GIVEN_CHARACTERS = 4 * MAX_NAME_CHARACTERS
# Line ends and tabs are no controls in a message, but alone they are no message.
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e"
#: What a regular expression can say of `check_name` and `clean_text`, for schemas. The functions know more: accents, joiners, directions.
NAME_PATTERN = f"^([^ ?{unseen.RANGES}]( ?[^ {unseen.RANGES}])*)?$"
TEXT_PATTERN = f"^[\t\n\r ]*[^\t\n\r {_CONTROLS}][^{_CONTROLS}]*$"
#: Prefix of unverified names in lists that have verified ones, too. No name begins with it.
UNVERIFIED = "?"

_ROOM = re.compile(
    r"[A-Za-z0-9._-]{1,64}", re.ASCII
)  # no colon: it separates a room's name from the names of its channels
_REPLACEMENT = "\ufffd"  # stands for invalid UTF-8 in a URL: different names would become the same
# Accents on one letter: a syllable of Burmese or a word of Hebrew has at most four.
_MAX_ACCENTS = 4


def check_room(room: str) -> str:
    """Return ``room`` if it is a valid name of a room.

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
    """Return ``name`` in NFC if it is a valid name: visible, and one line. The same text, composed or decomposed, is the same
    name.

    Raises:
        ApiError: 400 ``no_user``, ``user_name``.
    """
    if not name:
        raise ApiError(400, "no_user", "There is no user. Say who you are: ?user=ann for a stream, user in a body.")
    name = _composed(name)
    if len(name) > MAX_NAME_CHARACTERS:
        _refuse_name(f"it has {len(name)} characters")
    if name.startswith(UNVERIFIED) or name != name.strip(" ") or "  " in name:
        _refuse_name(f"it begins with a {UNVERIFIED}, begins or ends with a space, or has two spaces in a row")
    for at, one in enumerate(name):
        if one in (unseen.ZWNJ, unseen.ZWJ):
            is_wrong = not unseen.is_needed(name, at)
        else:
            is_wrong = one == _REPLACEMENT or unseen.is_unseen(one)
        if is_wrong:
            _refuse_name(f"it has the character U+{ord(one):04X} in it")
    if unicodedata.category(name[0]).startswith("M") or _most_accents(name) > _MAX_ACCENTS:
        _refuse_name(f"it begins with an accent, or has more than {_MAX_ACCENTS} of them on one letter")
    return name


def is_same_name(one: str, other: str) -> bool:
    """Tell whether two names are the same, composed or decomposed."""
    return _composed(one) == _composed(other)


def _composed(name: str) -> str:
    """Return a name in NFC; unchanged if it is too long for a name. The time grows with the square of the accents on one letter:
    32 000 of them, which a body can have, take 0.8 s."""
    return name if len(name) > _MAX_GIVEN_CHARACTERS else unicodedata.normalize("NFC", name)


def _most_accents(name: str) -> int:
    """Return the largest number of accents on one letter."""
    most = here = 0
    for one in name:
        category = unicodedata.category(one)
        here = here + (category != "Mc") if category.startswith("M") else 0
        most = max(most, here)
    return most


def clean_text(text: str) -> str:
    """Check the text of a message, and return it with LF as the only line end.

    Raises:
        ApiError: 400 ``message_text``: empty, too long, or with a character that controls or turns the text around it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        _refuse_text("is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        _refuse_text(f"has {len(text)} characters")
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in text if one not in "\n\t"):
        _refuse_text("has a control character or half a surrogate pair in it")
    if unseen.turns_others(text):
        _refuse_text(
            "turns the direction of the text around it: it has an override, or a direction that does not end in its line"
        )
    return text


def _refuse_name(why: str) -> NoReturn:
    raise ApiError(
        400,
        "user_name",
        f"This can't be a user's name: {why}. Use 1 to {MAX_NAME_CHARACTERS} characters that can be seen.",
    )


def _refuse_text(why: str) -> NoReturn:
    raise ApiError(400, "message_text", f"The message {why}. Send text of 1 to {MAX_TEXT_CHARACTERS} characters.")
