"""The service put together: configuration, extensions, blueprints, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask

from . import cli, database, figures, log, looks, migrations
from . import config as configuration
from .extensions import simulcast
from .features import chat, completions, docs, home, hub_api, monitor, notifications, ops, rpc, tasks, usage, wukongs
from .identity import requests as auth
from .web import answers, bodies, cors, errors, hosts, limits, openapi, proxies

Function = Callable[..., Any]


class Service(Flask):
    """The app. None of its functions is a coroutine, and to look at each of them again takes 8 µs a request."""

    def ensure_sync(self, func: Function) -> Function:
        """Return the function as it is."""
        return func


@cli.told_at_a_prompt()
def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app.

    Args:
        config: Goes before the environment.

    Raises:
        SettingError: A setting can't be used.
    """
    app = Service(__package__, instance_path=os.path.abspath("instance"))
    app.config.from_mapping(configuration.read(os.environ, config))
    log.init_app(app)
    app.json.compact = True  # type: ignore[attr-defined]
    proxies.init_app(app)
    errors.init_app(app)
    answers.init_app(app)
    hosts.init_app(app)
    cors.init_app(app)
    simulcast.init_app(app, own_settings=configuration.KEYS, create=not cli.is_command())
    auth.init_app(app)
    limits.init_app(app)
    bodies.init_app(app)
    database.init_app(app)
    migrations.init_app(app)
    figures.init_app(app)
    looks.init_app(app)
    home.init_app(app)
    for feature in (hub_api, rpc, wukongs, chat, completions, usage, monitor, notifications, tasks, ops, docs, openapi):
        feature.init_app(app)
    completions.completion_ended.connect(usage.record_call, app)
    app.register_blueprint(simulcast.js_client())
    cli.init_app(app)
    return app
