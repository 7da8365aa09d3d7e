"""What each Python that a test starts does first: read the entry points of the installed packages at most once.

While gevent patches it asks 25 times for its plugins, and each time Python reads a file of each installed package. Here are more
than a hundred, and hundreds of servers start: it is a quarter of what a worker does before it loads the app. The answers are
the same.
"""

from importlib import metadata
from typing import Any

_read = metadata.entry_points
_found: list[Any] = []


def _entry_points(**wanted: Any) -> Any:
    if not _found:
        _found.append(_read())
    return _found[0].select(**wanted)


metadata.entry_points = _entry_points
