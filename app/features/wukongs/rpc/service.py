"""WukongService: the calls of ``wukongs.v1.WukongService``. Each does what a route of `routes` or the console does."""

from __future__ import annotations

from contextlib import closing

from flask import Blueprint, Response, current_app, request

from ....extensions import simulcast
from ....flask_simulcast import client_input
from ....flask_simulcast.rpc import Call, CallError, Code, DuplexCall, Service, conversing, replied, streamed, telling
from ....identity.rights import PublishEach
from ....web import limits
from .. import access, service
from ..console import MESSAGES_PER_SECOND, Console
from ..proto.wukongs.v1 import wukong_pb2 as pb
from ..routes import REPORT
from ..schemas import MAX_REPORT_SECONDS
from .messages import WATCHES, only_statuses, wukong
from .screen import Screen

#: Metadata of a ``Report`` that failed: what was stored before.
STORED_REPORTS = "simulcast-stored-reports"
_ANY = PublishEach(tuple)


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
        name = call.message(pb.GetRequest).name
        access.READ.require({"name": name})
        return replied(call.dialect, wukong(service.find_or_refuse(name)))

    def _list(self, call: Call) -> Response:
        call.message(pb.ListRequest)
        access.LIST.require({})
        return streamed(call, map(wukong, service.every()))

    def _watch(self, call: Call) -> Response:
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
        reports = 0
        try:
            for asked in call.messages(pb.ReportRequest):
                _store(asked)
                reports += 1
        except Exception as error:
            raise telling(error, {STORED_REPORTS: str(reports)}) from error
        return replied(call.dialect, pb.ReportResponse(reports=reports))

    def _console(self, call: Call) -> Response:
        simulcast.require_subscribe(["all"], spends_ticket=False)  # the first message names the wukong
        with (
            DuplexCall(call, request, simulcast.settings, messages_per_second=MESSAGES_PER_SECOND) as duplex,
            conversing(duplex),
        ):
            requests = duplex.messages(pb.ConsoleRequest)
            first = next(requests, None)
            if first is not None:
                _converse(call, duplex, Screen(duplex, requests, first), first.name)
        return Response()


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


def _converse(call: Call, duplex: DuplexCall, screen: Screen, name: str) -> None:
    """Show a console until its client ends its side. Switches."""
    access.WATCH.require({"name": name})
    service.find_or_refuse(name)
    with (
        closing(Console(current_app._get_current_object(), screen, name)) as console,  # type: ignore[attr-defined]
        simulcast.subscribe(
            duplex, service.channel_of(name), send=console.show, deadline=call.deadline, **console.options
        ),
    ):
        console.converse()
