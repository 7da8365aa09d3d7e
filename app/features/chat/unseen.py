"""Invisible characters, and characters that turn the direction of the text around them. Unicode data that `unicodedata` lacks;
pure."""

from __future__ import annotations

import unicodedata

# Default_Ignorable_Code_Point. Source: Unicode 16, DerivedCoreProperties.txt.
_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
# Drawn as nothing, although their category is visible: a Braille pattern without dots, a note without a head, a Khitan filler,
# the blanks of hieroglyphs. Source: the code charts.
_BLANK = frozenset("\u2800\U0001d159\U00016fe4\U00013441\U00013442")
# Categories of invisible characters, line ends and spaces of unusual width. Unassigned characters pass: they are next year's
# emoji.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})

# Controls, spaces and formats outside of `_IGNORABLE`, in the basic plane.
_OTHERS = "\x00-\x1f\x7f-\xa0\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufff9-\ufffb"
#: The invisible characters of the basic plane as the ranges of a regular expression, without the joiners, and with U+FFFD, which stands
#: for a broken character.
RANGES = (
    _OTHERS
    + "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\ufffd"
)

ZWNJ, ZWJ = "\u200c", "\u200d"
# Letters of Arabic script that join on both sides. Only after these does a non-joiner make a visible difference.
# Source: Unicode 16, ArabicShaping.txt, Joining_Type D.
_JOINS_BOTH_SIDES = (
    (0x0620, 0x0620), (0x0626, 0x0626), (0x0628, 0x0628), (0x062A, 0x062E), (0x0633, 0x063F), (0x0641, 0x0647),
    (0x0649, 0x064A), (0x066E, 0x066F), (0x0678, 0x0687), (0x069A, 0x06BF), (0x06C1, 0x06C2), (0x06CC, 0x06CC),
    (0x06CE, 0x06CE), (0x06D0, 0x06D1), (0x06FA, 0x06FC), (0x06FF, 0x06FF),
)  # fmt: skip
_VIRAMA = 9  # the combining class of signs that remove a letter's vowel

_OVERRIDES = "\u202d\u202e"
# What ends them. Source: UAX #9, 2.1 to 2.5.
_ENDS = {"\u202a": "\u202c", "\u202b": "\u202c", "\u2066": "\u2069", "\u2067": "\u2069", "\u2068": "\u2069"}


def is_unseen(one: str) -> bool:
    """Tell whether a character is invisible. The plain space does not count."""
    if one == " ":
        return False
    return unicodedata.category(one) in _UNSEEN or one in _BLANK or _is_in(one, _IGNORABLE)


def is_needed(text: str, at: int) -> bool:
    """Tell whether a joiner is where a script needs it: after a virama, as in Indic scripts; between letters that would join,
    as in Persian; or ZWJ between two emoji.

    Source: RFC 5892, A.1 and A.2, for the first two.
    """
    before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    if not before or not after:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if text[at] == ZWNJ:
        return _is_in(before, _JOINS_BOTH_SIDES) and unicodedata.bidirectional(after) == "AL"
    return {unicodedata.category(before), unicodedata.category(after)} <= {"So", "Sk"}


def turns_others(text: str) -> bool:
    """Tell whether a text turns the direction of the text around it: it overrides directions, or one of its lines begins a
    direction without ending it, or ends one without beginning it."""
    for line in text.split("\n"):
        open_ones: list[str] = []
        for one in line:
            if one in _OVERRIDES:
                return True
            if one in _ENDS:
                open_ones.append(_ENDS[one])
            elif one in _ENDS.values() and (not open_ones or open_ones.pop() != one):
                return True
        if open_ones:
            return True
    return False


def _is_in(one: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(one) <= last for first, last in ranges)
