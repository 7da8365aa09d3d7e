"""The one place that makes the extensions."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy

from .flask_simulcast import GuardedSock, Simulcast

simulcast = Simulcast(answers_preflights=False)  # app/cors.py does, for all of the API
sock = GuardedSock(simulcast)
db = SQLAlchemy()
