"""``/api/v1/ops``: what operators watch; and the page that shows it."""

from __future__ import annotations

from flask import Blueprint, Response

from ...extensions import simulcast
from ...figures import reporter
from ...host import HOST
from ...web import reads
from ...web.api import Api
from ...web.pages import page as as_page
from ...web.route import RESUME_HEADER, STREAMS
from . import access, incidents, lags, schemas
from .past import CHANNEL, OpsPast

api = Api("operations", __name__)
page = Blueprint("ops_page", __name__)

# Rows of the last minutes, and incidents that other operators have been told.
_REPLAY = 100


@page.get("/ops")
def index() -> Response:
    """Return the page for operators."""
    return as_page("ops.html")


@api.get("", needs=access.READ, answers={200: schemas.Operations})
def operations() -> schemas.Operations:
    """Return the workers of this machine and their last five minutes, as one of them has seen it."""
    workers, began, _ = reporter().machine_or_worker()
    return schemas.Operations(HOST, round(began * 1000), workers, OpsPast.here())


@api.get("/stream", needs=access.WATCH, headers=RESUME_HEADER, answers=STREAMS, errors=(429, 503))
def stream() -> Response:
    """Stream ``figures`` every 5 seconds, one for each machine, ``incidents`` and ``lags``; docs/operations.md describes them."""
    return simulcast.stream((CHANNEL, incidents.CHANNEL, lags.CHANNEL), grant=simulcast.grant(), replay=_REPLAY)


@api.get(
    "/channels",
    needs=access.READ,
    query=schemas.ChannelsQuery,
    answers={200: schemas.Channels},
    errors=(429, 503),
)
def channels(query: schemas.ChannelsQuery) -> schemas.Channels:
    """List the channels that have events or listeners."""
    found = reads.of_rows(
        lambda: simulcast.channels(after=query.after, limit=query.limit + 1, prefix=query.prefix), len
    )
    shown = [schemas.Channel(*row) for row in found[: query.limit]]
    return schemas.Channels(shown, shown[-1].channel if len(found) > query.limit else None)
