"""Control: what closes listeners by order of the log: revocations and kicks, which workers send each other, and endings of runs.

Each is an event, so it is ordered: the listeners that it closes receive nothing published after it. The broker also stores it,
for a worker that skipped a part of the log, and for a client that connects later.
"""

from __future__ import annotations

import json

from ..brokers.base import Broker
from ..close_reason import CloseReason
from ..event import CONTROL, LISTENER_PREFIX, RUN_PREFIX, Draft, Event
from ..grant import Grant
from ..listener import Listener
from ..run_state import ENDINGS
from .listeners import Listeners
from .runner import Runner
from .single_flight import SingleFlight

_REVOKE = "revoke"
_USER = "user:"
_TOKEN = "token:"
_TICKET = "ticket:"
# For a single token or connection: revoke it regardless of its issue time. A wrong clock at the issuer must not exempt it.
_WHENEVER_MS = 1 << 52
# Longer than a worker stays frozen before it is killed.
_KICK_SECONDS = 600


class Control:
    """Sends revocations and kicks, and carries out those of all workers.

    Args:
        broker: Stores them.
        listeners: The listeners of this worker.
        single_flight: The shared reads of this worker.
        runner: The runs that this worker produces.
    """

    def __init__(self, broker: Broker, listeners: Listeners, single_flight: SingleFlight, runner: Runner) -> None:
        self._broker = broker
        self._listeners = listeners
        self._single_flight = single_flight
        self._runner = runner

    def revoke_user(self, user: str, now_ms: int, seconds: float) -> None:
        """Revoke all grants that were issued to a user before now. May switch."""
        self._revoke(_USER + user, now_ms, seconds, reconnect=False)

    def revoke_token(self, token_id: str, seconds: float) -> None:
        """Revoke one token. May switch."""
        self._revoke(_TOKEN + token_id, _WHENEVER_MS, seconds, reconnect=False)

    def displace(self, grant: Grant) -> None:
        """End the earlier streams of this grant's ticket: an EventSource that reconnects leaves one behind. May switch."""
        before_ms = round(grant.redeemed_at * 1000)
        self._revoke(_TICKET + grant.ticket, before_ms, _KICK_SECONDS, reconnect=False)

    def kick(self, listener_id: str, *, reconnect: bool) -> None:
        """Close one connection, in any worker. May switch."""
        self._revoke(LISTENER_PREFIX + listener_id, _WHENEVER_MS, _KICK_SECONDS, reconnect=reconnect)

    def _revoke(self, name: str, before_ms: int, seconds: float, *, reconnect: bool) -> None:
        data = json.dumps({"name": name, "before": before_ms, "reconnect": reconnect}, separators=(",", ":"))
        self._broker.revoke(name, before_ms, seconds, Draft(CONTROL, _REVOKE, data))

    def is_revoked(self, grant: Grant) -> bool:
        """Tell whether this grant was revoked, through its user or its token. May switch.

        Raises:
            BrokerUnavailableError: The log can't be read.
        """
        names = grant.revocable_as
        return bool(names) and self._revoked_before(names) > grant.issued_at * 1000

    def is_displaced(self, grant: Grant) -> bool:
        """Tell whether the ticket of this grant has let in a later stream. May switch."""
        return bool(grant.ticket) and self._revoked_before((_TICKET + grant.ticket,)) > round(grant.redeemed_at * 1000)

    def check_new(self, listener: Listener) -> None:
        """Close a new listener that was revoked while it was being added. It can't have been kicked yet. Tell it where its run
        ends, if that has ended. May switch."""
        if self.is_revoked(listener.grant):
            listener.close(CloseReason.REVOKED)
        elif self.is_displaced(listener.grant):
            listener.close(CloseReason.FINISHED)
        elif listener.run:
            state = self._single_flight.alone(lambda: self._broker.run(listener.run))
            if state is not None and state.end is not None:
                listener.ends_at(state.end)

    def check(self, listener: Listener) -> None:
        """Close a listener that was revoked or kicked in a part of the log that this worker skipped; tell it where its run ends.
        May switch."""
        self.check_new(listener)
        if self._revoked_before((LISTENER_PREFIX + listener.id,)):
            listener.close(CloseReason.KICKED)

    def _revoked_before(self, names: tuple[str, ...]) -> int:
        return self._single_flight.alone(lambda: self._broker.revoked_before(names))

    def obey(self, event: Event) -> None:
        """Carry out an order from the log. Called by the pump, in the order of the log. Does not switch."""
        if event.channel.startswith(RUN_PREFIX):
            if event.type in ENDINGS:
                run = event.channel.removeprefix(RUN_PREFIX)
                self._runner.look_at(run)
                for listener in self._listeners.of_run(run):
                    listener.ends_at(event.position)
            return
        if event.type != _REVOKE:
            return  # an order of a later version
        order = json.loads(event.data)
        name, reason = order["name"], CloseReason.KICKED if order["reconnect"] else CloseReason.REVOKED
        if name.startswith(_USER):
            for listener in self._listeners.of_user(name.removeprefix(_USER)):
                if listener.grant.issued_at * 1000 < order["before"]:
                    listener.close(reason)
        elif name.startswith(_TOKEN):
            for listener in self._listeners.all:
                if listener.grant.token_id == name.removeprefix(_TOKEN):
                    listener.close(reason)
        elif name.startswith(_TICKET):
            for listener in self._listeners.of_ticket(name.removeprefix(_TICKET)):
                if round(listener.grant.redeemed_at * 1000) < order["before"]:
                    listener.close(CloseReason.FINISHED)
        else:
            one = self._listeners.find(name.removeprefix(LISTENER_PREFIX))
            if one is not None:
                one.close(reason)
