"""What the server below writes about requests: no query string, no text of a request that it refused, one line a message.

Query strings carry tickets. One in a request that the server refuses was never redeemed, so it is still worth something.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

_QUERY = re.compile(r"\?.*(?= HTTP/[0-9.]+)|\?.*", re.DOTALL)  # a query may hold spaces and quotes of its own
_REFUSED = "Invalid request from ip="
_OF_GUNICORN = "gunicorn.http.errors"


def guard(log: Any) -> None:
    """Keep clients' text out of this gunicorn's messages, and control characters out of its access log.

    Args:
        log: gunicorn's ``Logger``, as a worker has it.
    """
    log.error_log.addFilter(without_request)
    make_atoms = log.atoms_wrapper_class
    log.atoms_wrapper_class = lambda atoms: make_atoms(visible_atoms(atoms))


def without_request(record: logging.LogRecord) -> bool:
    """A logging filter for gunicorn's own messages. Changes the record, and lets it pass.

    gunicorn quotes the line that it refuses; in its place stands what was wrong with it, by the name of gunicorn's error.
    """
    if isinstance(record.msg, str) and record.msg.startswith(_REFUSED):
        error = sys.exc_info()[0]
        record.msg = f"{record.msg.partition(': ')[0]}: {error.__name__ if error else 'refused'}"
        record.args = ()
    elif isinstance(record.args, tuple):
        record.args = tuple(map(_told, record.args))
    return True


def without_query(text: str) -> str:
    """A message without what follows the first question mark, up to the version of HTTP where there is one."""
    return _QUERY.sub("", text, count=1)


def visible(text: str) -> str:
    """The same text with everything escaped that could end a line or drive a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def visible_atoms(atoms: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a line of gunicorn's access log. Paths are UTF-8 that WSGI has decoded as latin-1 (PEP 3333)."""
    return {name: visible(_as_utf8(atom)) if isinstance(atom, str) else atom for name, atom in atoms.items()}


def _told(arg: Any) -> Any:
    if isinstance(arg, Exception) and type(arg).__module__ == _OF_GUNICORN:
        return type(arg).__name__
    return visible(without_query(arg)) if isinstance(arg, str) else arg


def _as_utf8(text: str) -> str:
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text
