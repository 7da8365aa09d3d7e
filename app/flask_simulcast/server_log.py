"""Filters of the server's log: no query string, no text of a refused request, one line a message.

Query strings carry tickets. A ticket in a request that the server refuses was never redeemed, so it is still valid.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

_QUERY = re.compile(r"\?.*(?= HTTP/[0-9.]+)|\?.*", re.DOTALL)  # a query can contain spaces and quotes
_REFUSED = "Invalid request from ip="
_OF_GUNICORN = "gunicorn.http.errors"


def guard(log: Any) -> None:
    """Keep clients' text out of gunicorn's messages, and control characters out of its access log.

    Args:
        log: A worker's gunicorn ``Logger``.
    """
    log.error_log.addFilter(without_request)
    make_atoms = log.atoms_wrapper_class
    log.atoms_wrapper_class = lambda atoms: make_atoms(visible_atoms(atoms))


def without_request(record: logging.LogRecord) -> bool:
    """Clean a record of gunicorn's own log. A logging filter that changes the record and lets it pass.

    gunicorn quotes a request line that it refuses. The name of gunicorn's error replaces that line here.
    """
    if isinstance(record.msg, str) and record.msg.startswith(_REFUSED):
        error = sys.exc_info()[0]
        record.msg = f"{record.msg.partition(': ')[0]}: {error.__name__ if error else 'refused'}"
        record.args = ()
    elif isinstance(record.args, tuple):
        record.args = tuple(map(_told, record.args))
    return True


def without_query(text: str) -> str:
    """Return a message without its first question mark and the text after it, up to the HTTP version if there is one."""
    return _QUERY.sub("", text, count=1)


def visible(text: str) -> str:
    """Escape every character of a text that could end a line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def visible_atoms(atoms: Mapping[str, Any]) -> dict[str, Any]:
    """Escape the parts of a line of gunicorn's access log. Paths are UTF-8 that WSGI has decoded as latin-1 (PEP 3333)."""
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
