"""The one place that makes the extensions."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy

from .flask_simulcast import GuardedSock, Simulcast

simulcast = Simulcast()
sock = GuardedSock(simulcast)
db = SQLAlchemy()
