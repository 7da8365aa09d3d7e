"""The one place that makes the extensions."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy

from . import channels
from .flask_simulcast import GuardedSock, Simulcast

simulcast = Simulcast(
    reserved=channels.RESERVED, answers_preflights=False
)  # app/web/cors.py answers preflights for the whole API
sock = GuardedSock(simulcast)
db = SQLAlchemy()
