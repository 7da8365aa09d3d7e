"""Hot routes: to listen and to publish, for a `StreamWorker`. Each stands beside the view of its route, and calls what the view and
the app's hooks call; where those would refuse, or do more, Flask does it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Request
from msgspec import UNSET

from ...extensions import simulcast
from ...flask_simulcast import Event, hot
from ...identity.requests import hot_grant
from ...web import answers, cors, hosts, limits, proxies, query
from ...web.here import this_app
from . import access, reading, schemas, service


def init_app(app: Flask) -> None:
    """Add them. The views are there already."""
    routes, views = simulcast.hot_routes(app), app.view_functions
    routes.add("hub_api.stream", views["hub_api.stream"], stream)
    routes.add("hub_api.publish", views["hub_api.publish"], publish)
    proxies.init_hot_routes(app)


def stream(request: Request, body: bytes) -> hot.Reply | None:
    """Listen to channels. May switch."""
    if not _admits(request):
        return None
    asked = query.read(schemas.StreamQuery, request)
    reply = simulcast.hot_stream(request, asked.channel, replay=None if asked.replay is UNSET else asked.replay)
    return None if reply is None else answers.complete(reply)


def publish(request: Request, body: bytes) -> hot.Publish | None:
    """Publish one event, an array of events, or one event a line, without idempotency keys. May switch."""
    if not _admits(request) or len(body) > this_app().config["SIMULCAST_MAX_BODY_BYTES"]:
        return None
    access.PUBLISH_EACH.require({})
    events = service.events_of(request, body)
    access.PUBLISH_EACH.require_for(events)
    if any(event.idempotency_key is not UNSET for event in events):
        return None  # one that is known, or stands for another event, must not touch the others of its append
    drafts = simulcast.drafts(reading.as_mapping(event, "") for event in events)
    limits.check_publish(reading.count_of(events), request)  # last: what is taken here can't be given back
    more = tuple(cors.headers_of(request).items())

    def reply(stored: Sequence[Event]) -> hot.Reply:
        return answers.hot_json(service.published_many(stored), "201 CREATED", more)

    return hot.Publish(simulcast.hub, drafts, reply)


def _admits(request: Request) -> bool:
    """Tell whether the request comes under a name of the service, and take its grant, unless Flask must look at that."""
    hosts.check(request)
    grant = hot_grant(request)
    if grant is None:
        return False
    simulcast.take_grant(grant)
    return True
