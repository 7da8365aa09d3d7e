"""Errors of an examination."""

from __future__ import annotations


class BadInputError(Exception):
    """What the operator gave can't be looked at: a wrong URL, a server that is not there, a page. One sentence."""


class SilentError(Exception):
    """The server took the request, and sent nothing within the time that is allowed."""
