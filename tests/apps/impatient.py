"""The inspected service, whose kernel gives up a silent client after ``USER_TIMEOUT_MS``: the default takes 20 s."""

from __future__ import annotations

import os

from app.flask_simulcast import gunicorn
from tests.apps.inspected import app

gunicorn._TCP_OPTIONS["TCP_USER_TIMEOUT"] = int(os.environ["USER_TIMEOUT_MS"])

__all__ = ["app"]
