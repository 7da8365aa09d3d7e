"""Find the file of an app's log: a relative path begins in the instance folder, as Flask-SQLAlchemy's does.

In earlier versions it began in the working directory. A log that an earlier version left there is still used. Otherwise its
listeners would be told that everything they had is lost.
"""

from __future__ import annotations

import logging
import os

_FILE = "simulcast.db"  # of the default URL
_OLD_DEFAULT = os.path.join("instance", _FILE)

_log = logging.getLogger("flask_simulcast")


def locate(path: str, instance_folder: str) -> str:
    """Return the absolute path of a log. All workers get the same path, because none ever makes a file at the old place.

    Args:
        path: The path in ``SIMULCAST_BROKER_URL``, relative or absolute.
        instance_folder: The absolute path of the app's instance folder.
    """
    file = os.path.normpath(os.path.join(instance_folder, path))
    if os.path.isabs(path) or os.path.exists(file):
        return file
    for old in map(os.path.abspath, (path, _OLD_DEFAULT) if path == _FILE else (path,)):
        if os.path.exists(old):
            _log.warning(
                "The log is at %s, where an earlier version left it; a relative path in SIMULCAST_BROKER_URL now begins in "
                "the instance folder. Stop all that use it and move it, with its -wal and -shm, to %s; or set "
                "SIMULCAST_BROKER_URL=sqlite:///%s to keep it where it is.",
                old,
                file,
                old,
            )
            return old
    return file
