"""Read gunicorn's configuration as gunicorn reads it, and print what the doctor wants to know of it, as JSON.

A program of its own, run by its path: the configuration is the team's code, and may patch the process, change the folder or
end the program. It imports nothing of this package, so that what is patched was patched by the configuration.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_HOOKS = ("post_worker_init", "worker_int")
_STARTING = ("on_starting", "when_ready", "pre_fork", "post_fork", "post_worker_init")
_VALUES = (
    "workers",
    "threads",
    "worker_connections",
    "keepalive",
    "timeout",
    "graceful_timeout",
    "max_requests",
    "preload_app",
)
_OURS = "flask_simulcast"
_DEPTH = 3


def main() -> None:
    """Print the facts. gunicorn itself prints what is wrong with its configuration, and exits with 1."""
    from gunicorn import __version__
    from gunicorn.app.base import Application

    class Reading(Application):  # type: ignore[misc]
        """Reads ``sys.argv``, GUNICORN_CMD_ARGS and the file, in gunicorn's own order, and runs nothing."""

        def init(self, parser: Any, opts: Any, args: Any) -> None:
            """Take no app."""

        def load(self) -> None:
            """Load no app."""

    cfg = Reading().cfg
    settings = cfg.settings
    facts = {name: settings[name].get() for name in _VALUES}
    facts["version"] = __version__
    facts["worker_class"] = cfg.worker_class_str
    config = settings["config"].get() or ""
    facts["config"] = config if config.startswith("python:") or os.path.exists(config.removeprefix("file:")) else ""
    facts["is_patched"] = _is_patched()
    facts["hooks"] = {name: leads_to(settings[name].get(), name) for name in _HOOKS}
    facts["raises_descriptors"] = any(leads_to(settings[name].get(), "setrlimit") for name in _STARTING)
    print(json.dumps(facts))


def leads_to(function: Any, name: str, depth: int = _DEPTH) -> bool:
    """Tell whether a hook is a function of ours, or names one: in its own code, or in that of a function that it calls."""
    if _OURS in (getattr(function, "__module__", None) or "") and getattr(function, "__name__", "") == name:
        return True
    code = getattr(function, "__code__", None)
    if code is None or depth == 0:
        return False
    if any(name == each for each in code.co_names) and (name == "setrlimit" or _names_ours(function)):
        return True
    return any(leads_to(each, name, depth - 1) for each in _called(function))


def _names_ours(function: Any) -> bool:
    """Tell whether a function imports our hooks, or has them from an import above it."""
    names = function.__code__.co_names
    above = [function.__globals__.get(each) for each in names]
    modules = [getattr(each, "__module__", None) or getattr(each, "__name__", "") for each in above]
    return any(_OURS in str(each) for each in (*names, *modules))


def _called(function: Any) -> list[Any]:
    found = [function.__globals__.get(each) for each in function.__code__.co_names]
    return [each for each in found if hasattr(each, "__code__")]


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
