"""WukongService: the calls of ``wukongs.v1.WukongService``. Each does what a route of `routes` or the console does."""

from __future__ import annotations

from flask import Blueprint, Response

from ....extensions import simulcast
from ....flask_simulcast import client_input
from ....flask_simulcast.rpc import (
    MAX_QUESTION_BYTES,
    Call,
    CallError,
    Code,
    Service,
    duplex,
    received,
    replied,
    streamed,
)
from ....identity.rights import PublishEach
from ....web import limits
from .. import access, service
from ..console import MESSAGES_PER_SECOND
from ..proto.wukongs.v1 import wukong_pb2 as pb
from ..routes import REPORT
from ..schemas import MAX_REPORT_SECONDS
from .messages import WATCHES, only_statuses, wukong
from .screen import Screen

#: Metadata of a ``Report`` that failed: what was stored before.
STORED_REPORTS = "simulcast-stored-reports"
_ANY = PublishEach(tuple)
# As JSON a message has the data of a report, or of a command, as a text, with each quote escaped once more.
_AS_TEXT = 2


def blueprint() -> Blueprint:
    """Return the blueprint of the service. Made only where it is wanted, because it loads protobuf."""
    made = Blueprint("wukongs_rpc", __name__)
    WukongService().register(made)
    return made


class WukongService(Service):
    """The calls."""

    def __init__(self) -> None:
        super().__init__(
            pb.DESCRIPTOR.services_by_name["WukongService"],
            {
                "Get": self._get,
                "List": self._list,
                "Watch": self._watch,
                "Report": self._report,
                "Console": self._console,
            },
        )

    def _get(self, call: Call) -> Response:
        call.most_bytes = MAX_QUESTION_BYTES
        name = call.message(pb.GetRequest).name
        access.READ.require({"name": name})
        return replied(call.dialect, wukong(service.find_or_refuse(name)))

    def _list(self, call: Call) -> Response:
        call.most_bytes = MAX_QUESTION_BYTES
        call.message(pb.ListRequest)
        access.LIST.require({})
        return streamed(call, map(wukong, service.every()))

    def _watch(self, call: Call) -> Response:
        call.most_bytes = MAX_QUESTION_BYTES
        name = call.message(pb.WatchRequest).name
        access.WATCH.require({"name": name})
        service.find_or_refuse(name)
        return simulcast.sse(
            service.channel_of(name),
            encoding=WATCHES[call.dialect.content_type],
            view=only_statuses,
            snapshot=lambda: service.find(name),
            snapshot_type=service.STATUS,
            deadline=call.deadline,
            resume=None,  # the newest status is enough
        )

    def _report(self, call: Call) -> Response:
        _ANY.require({})  # before the body is read: a client without any such right must not hold memory here
        call.most_bytes = _AS_TEXT * (REPORT.most_bytes() or call.most_bytes) + MAX_QUESTION_BYTES
        stored = pb.ReportResponse()

        def store(asked: pb.ReportRequest) -> None:
            _store(asked)
            stored.reports += 1

        return received(call, pb.ReportRequest, store, lambda: stored, lambda: {STORED_REPORTS: str(stored.reports)})

    def _console(self, call: Call) -> Response:
        simulcast.require_subscribe(["all"], spends_ticket=False)  # the first message names the wukong
        call.most_bytes = _AS_TEXT * MAX_QUESTION_BYTES
        with duplex(call) as talk:
            screen = Screen(talk, call.deadline)
            talk.serve(pb.ConsoleRequest, screen.take, on_close=screen.close, messages_per_second=MESSAGES_PER_SECOND)
        return Response()  # the call answers by itself


def _store(asked: pb.ReportRequest) -> None:
    """Store one report. The grant might have ended since the last one of the call. May switch."""
    simulcast.check_grant()
    access.REPORT.require({"name": asked.name})
    if not 0 <= asked.interval_seconds <= MAX_REPORT_SECONDS:
        raise CallError(
            Code.INVALID_ARGUMENT, f"The interval is not 0 to {MAX_REPORT_SECONDS} seconds. Send such a one."
        )
    data = REPORT.parse(asked.data.encode())
    limits.check_publish(1)
    with client_input():
        service.report(asked.name, data, asked.interval_seconds)
