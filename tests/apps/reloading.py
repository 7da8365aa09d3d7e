"""Werkzeug's server with its reloader and its debugger: ``python -m tests.apps.reloading module port``.

As ``flask run --debug``, but it looks at the files itself: watchdog, which Werkzeug takes where it is installed, misses changes
on a machine where many files change.
"""

from __future__ import annotations

import sys
from importlib import import_module

from werkzeug.serving import run_simple

if __name__ == "__main__":
    app = import_module(sys.argv[1]).app
    app.debug = True
    run_simple(
        "127.0.0.1",
        int(sys.argv[2]),
        app,
        use_reloader=True,
        use_debugger=True,
        reloader_type="stat",
        reloader_interval=0.2,  # type: ignore[arg-type]
        threaded=True,
    )
