"""Rows of a table of settings: what a key holds, how its value is read, and the one wording of an error.

`Settings` has such a table, and an app can have one of its own. The page of settings is written from them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .errors import SettingError

PREFIX = "SIMULCAST_"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Shelf(StrEnum):
    """The part of the page of settings that shows a setting."""

    FIRST = "Set these five"
    LIMITS = "Limits"
    RARELY = "Rarely"


@dataclass(frozen=True)
class Row:
    """One setting.

    Attributes:
        name: The key without ``SIMULCAST_``, in lower case.
        read: Converts a given value, or one of its own results. Raises a ValueError or TypeError whose text ends the sentence
            "The value …": "is not a number".
        default: The value if none is given.
        help: One sentence: what the setting holds.
        unit: Of the value; empty for none.
        shelf: Where the documentation shows it.
        example: Text for the error; empty for the default.
        show: Turns a wrong value into text for the error: of a secret it shows nothing.
        was: Former names.
    """

    name: str
    read: Callable[[Any], Any]
    default: Any
    help: str
    unit: str = ""
    shelf: Shelf = Shelf.RARELY
    example: str = ""
    show: Callable[[Any], str] = repr
    was: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key in ``app.config`` and in the environment."""
        return PREFIX + self.name.upper()

    def value(self, given: Any) -> Any:
        """Read a value.

        Raises:
            SettingError: It can't be used. Names the key, the value and an example.
        """
        try:
            return self.read(given)
        except (TypeError, ValueError) as error:
            example = f"Use for example {self.key}={self.example or self.default}."
            raise SettingError(f"{self.key}={self.show(given)} {error}. {example}") from error


def nearest(key: str, rows: Iterable[Row]) -> str:
    """Return the key that is probably meant by one that is unknown; empty for none.

    A former name stands for the new one. The prefix is not compared, because it would make all keys alike.
    """
    keys = {name: row.key for row in rows for name in (row.name, *row.was)}
    names = difflib.get_close_matches(key.removeprefix(PREFIX).lower(), keys, n=1)
    return keys[names[0]] if names else ""


def unknown(key: str, rows: Iterable[Row]) -> SettingError:
    """Make the error for a key that is not a setting."""
    meant = nearest(key, rows)
    hint = f"Did you mean {meant}?" if meant else "Check its name in the list of settings."
    return SettingError(f"{key} is not a setting. {hint}")


def hidden(_: object) -> str:
    """Show nothing of a secret."""
    return "(not shown)"


# Readers: each takes a value from a configuration, or text from the environment.


def text(value: Any) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise TypeError("is not text")
    return value


def matching(pattern: str, what: str) -> Callable[[Any], str]:
    """Make a reader of text that matches a pattern.

    Args:
        pattern: For the whole text; ASCII.
        what: What text that doesn't match is not: "a cookie name".
    """
    compiled = re.compile(pattern, re.ASCII)

    def read(value: Any) -> str:
        if compiled.fullmatch(text(value)) is None:
            raise ValueError(f"is not {what}")
        return str(value)

    return read


def boolean(value: Any) -> bool:
    """Read true or false."""
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("is neither true nor false")
    return word in _TRUE


@dataclass(frozen=True)
class Number:
    """A reader of numbers between these two."""

    minimum: float = 0
    maximum: float = 1 << 40

    def __call__(self, value: Any) -> float:
        number = _number(value)
        if not self.minimum <= number <= self.maximum:
            raise ValueError(f"is not between {self.minimum:g} and {self.maximum:g}")
        return number


class Integer(Number):
    """A reader of whole numbers between these two."""

    def __call__(self, value: Any) -> int:
        number = super().__call__(value)
        if number % 1:
            raise ValueError("is not a whole number")
        return int(number)


def _number(value: Any) -> float:
    """Read a number; a whole one as an integer, since a float would raise where a list is cut, long after the start."""
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            raise ValueError("is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("is not a number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def names(value: Any) -> tuple[str, ...]:
    """Read a list of names, or text with commas between them."""
    given = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(name.strip() for name in given if name.strip())
    except (TypeError, AttributeError):
        raise ValueError("is not a list of names") from None


def patterns(value: Any) -> tuple[str, ...]:
    """Read a list of names of channels, or of beginnings with a star."""
    found = names(value)
    if any("*" in pattern[:-1] for pattern in found):
        raise ValueError("has a star before the end of a name")
    return found
