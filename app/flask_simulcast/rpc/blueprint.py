"""The blueprint of the extension's services, with health, and with reflection if it is allowed."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint

from .health import Health
from .service import Service
from .streams import Owner, StreamService


def make_blueprint(
    simulcast: Owner,
    before_publish: Callable[[int], object] | None,
    sender: Callable[[], str] | None,
    *,
    reflection: bool,
) -> Blueprint:
    """Make the blueprint; `Simulcast.rpc` has the arguments."""
    services: list[Service] = [StreamService(simulcast, before_publish, sender), Health()]
    if reflection:
        from .reflection import VERSIONS, Reflection

        services += [Reflection(version) for version in VERSIONS]
    blueprint = Blueprint("simulcast_rpc", __name__)
    for service in services:
        service.register(blueprint)
    return blueprint
