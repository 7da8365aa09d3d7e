"""From a request to a stream's response: the listener's resume position, its start, its grant, and whether there is room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypedDict

from flask import Request, Response, current_app

from .. import cors
from ..data import encode_data
from ..encoding import Encoding
from ..encoding.ndjson import NDJSON
from ..encoding.sse import SSE
from ..errors import BrokerError, ListenError, SingleThreadedServerError, client_input
from ..event import Position, View, check_member, check_type
from ..grant import Grant, matches_any
from ..hub.hub import Hub
from ..listen_request import ListenRequest
from ..loop import is_patched
from ..settings import Settings
from . import ndjson, server_hooks, sse
from .address import limited_address
from .app_json import default_of
from .stream import Stream


class StreamOptions(TypedDict, total=False):
    """The options of `Simulcast.sse` and the other streams, which documents them."""

    encoding: Encoding
    view: View | None
    snapshot: Callable[[], object] | None
    snapshot_type: str
    start: Position | None
    replay: int | None
    grant: Grant | None
    member: str
    meta: Mapping[str, Any] | None
    present: bool | Collection[str] | None
    heartbeat_as_comment: bool
    resume: str | None
    deadline: float | None


def encoding_for(request: Request) -> Encoding:
    """Return NDJSON for a client that asks for it, SSE for all others."""
    return NDJSON if ndjson.is_wanted(request) else SSE


def respond(
    hub: Hub, request: Request, encoding: Encoding, channels: tuple[str, ...], grant: Grant, options: StreamOptions
) -> Response:
    """Return a response that streams.

    Args:
        hub: Accepts the listener when the server asks for the first chunk.
        request: The client's request. Only its socket is kept.
        encoding: Encoding of the stream.
        channels: Checked names that the grant allows.
        grant: The listener's grant.
        options: The view's options.

    Raises:
        ListenError: There is no room. (An EventSource gets a 200 instead; at any other status it would not reconnect.)
        BrokerUnavailableError: The log can't be read. (The same.)
    """
    response = _respond(hub, request, encoding, channels, grant, options)
    response.headers.update(cors.headers_for(request.headers.get("Origin"), hub.settings.allowed_origins))
    return response


def _respond(
    hub: Hub, request: Request, encoding: Encoding, channels: tuple[str, ...], grant: Grant, options: StreamOptions
) -> Response:
    if sse.is_over(resume_of(request, options)):
        return Response(status=204)
    try:
        asked = prepare(hub, request, encoding, channels, grant, options)
    except (ListenError, BrokerError) as error:
        if encoding is SSE and sse.is_event_source(request):
            return sse.turned_away(hub.settings.retry_ms, error.code)
        raise
    body = Stream(hub, asked, request.environ)
    return sse.respond(body, encoding.content_type)


def prepare(
    hub: Hub, request: Request, encoding: Encoding, channels: tuple[str, ...], grant: Grant, options: StreamOptions
) -> ListenRequest:
    """Return what a client asks to listen to: the channels, its start, its grant, and how others see it. May switch.

    Raises:
        ListenError: There is no room.
        BrokerUnavailableError: The log can't be read.
    """
    settings = hub.settings
    server_hooks.warn_if_missing(request.environ)
    address = check_capacity(hub, request, grant)
    resume = resume_of(request, options)
    start, prelude = _start(hub, encoding, channels, resume, options)
    member = _member(options.get("member")) or grant.user
    meta = encode_data(dict(options.get("meta") or grant.meta), default_of(current_app))
    present_on = _present_on(channels, member, options.get("present"), settings)

    return ListenRequest(
        channels,
        encoding.of(channels),
        resume=resume,
        start=start,
        prelude=prelude,
        view=options.get("view"),
        grant=grant,
        member=member,
        present_on=present_on,
        meta=meta,
        deadline=options.get("deadline"),
        address=address,
        queue_bytes=settings.queue_bytes,
        heartbeat_as_comment=options.get("heartbeat_as_comment", False),
    )


def resume_of(request: Request, options: StreamOptions) -> str | None:
    """Return the position that the client has, as the view or the client says; None for a new listener."""
    return options["resume"] if "resume" in options else sse.resume_of(request)


def check_capacity(hub: Hub, request: Request, grant: Grant) -> str:
    """Check that there is room for a client, and return its address if that is limited.

    Raises:
        SingleThreadedServerError: A stream would stop the server.
        ListenError: There is no room.
        BrokerUnavailableError: The log could not be read a moment ago.
    """
    check_server(request.environ)
    address = limited_address(request, hub.settings)
    hub.admission.check(grant.user, address)
    return address


def check_server(environ: Mapping[str, Any]) -> None:
    """Check that the server goes on answering while a stream is open. A test client is no server: it names no software.

    Raises:
        SingleThreadedServerError: It does not.
    """
    if not (environ.get("wsgi.multithread") or is_patched()) and "SERVER_SOFTWARE" in environ:
        raise SingleThreadedServerError


def _start(
    hub: Hub, encoding: Encoding, channels: tuple[str, ...], resume: str | None, options: StreamOptions
) -> tuple[Position | None, bytes]:
    """Return the start of a listener that can't resume, and its snapshot if there is one."""
    snapshot = options.get("snapshot")
    if snapshot is None:
        return (hub.replay.start(channels, options.get("replay")) if resume is None else None), b""
    if hub.replay.can_resume(resume, channels):
        return None, b""
    start = options.get("start") or hub.position
    type = check_type(options.get("snapshot_type", "snapshot"))
    found, default = snapshot(), default_of(current_app)
    parts = [encode_data(part, default) for part in (found if isinstance(found, Iterator) else (found,))]
    # Only the last part has an id: a client that lost its connection before that has no position, and gets all of it again.
    ids = [""] * (len(parts) - 1) + [str(start)]
    return start, b"".join([encoding.notice(type, *part) for part in zip(parts, ids, strict=False)])


def _member(given: str | None) -> str:
    """Return the name that a view gives the listener. It often comes from a URL, so a wrong one is the client's mistake."""
    with client_input():
        return check_member(given) if given else ""


def _present_on(
    channels: tuple[str, ...], member: str, present: bool | Collection[str] | None, settings: Settings
) -> tuple[str, ...]:
    if not member or present is False:
        return ()
    if present is None:
        return tuple(name for name in channels if matches_any(settings.presence_channels, name))
    return channels if present is True else tuple(name for name in channels if name in present)
