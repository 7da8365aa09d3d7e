"""Commands to a wukong, and its answers, from any worker to any agent.

A command is an event on ``wukong-agent.<name>``, type ``command``: ``{"id", "command", "args"}``. The agent listens there,
and answers with an event on ``wukong-replies.<name>``, type ``command-result``: ``{"id", "ok", "output" | "error"}``. Both
are in the log: an agent that was cut off gets the command when it reconnects, and a waiting request finds the answer there,
in any worker. The built-in wukongs of this machine answer at once, in the same way.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import gevent
import msgspec
from gevent.event import Event as Flag

from ... import channels
from ...extensions import simulcast
from ...flask_simulcast import BrokerUnavailableError, Event, IdempotencyKey
from ...flask_simulcast.errors import BrokerError, DrainingError
from ...web.errors import ApiError
from . import command_set, machine, service, waits
from .built_in import BuiltIn
from .command_set import CommandError
from .schemas import Answer

COMMAND = "command"
RESULT = "command-result"
#: The member name of an agent on its channel. No user's name has a line break, so no user can have this name.
MEMBER = "\nagent"

_log = logging.getLogger(__name__)

_LOOK_SECONDS, _LOOK_LATER_SECONDS, _SOON_SECONDS = 0.01, 0.1, 1
_PAGE_EVENTS = 100
_REGISTER_SECONDS = 0.5

#: Set when a client has left; see `Simulcast.client_gone`.
Gone = Flag | threading.Event


class Sent(NamedTuple):
    """A command that the log has.

    Attributes:
        id: Id of the command.
        name: Full name of the wukong.
        position: Position after which the log has its answer.
        answer: The answer, if it is there already.
    """

    id: str
    name: str
    position: str
    answer: Answer | None = None


def channel_of(name: str) -> str:
    """Return the channel on which a wukong's agent listens. A client that may publish there commands the agent."""
    return channels.AGENT + machine.canonical(name)


def replies_of(name: str) -> str:
    """Return the channel on which a wukong's agent answers."""
    return channels.REPLIES + machine.canonical(name)


def send(
    name: str, command: str, args: object, seconds: float, *, sender: str, gone: Gone, key: str | None = None
) -> Answer:
    """Send a command and wait up to ``seconds`` for its answer. Switches; needs an app context, but no request.

    Args:
        sender: The client that sends the command; a key counts only for its sender.
        gone: Set when the client no longer waits for the answer.
        key: A second command with the same key within 300 s is not carried out again.

    Raises:
        ApiError: As `publish`; 504 ``no_answer``: the agent has not answered in time, but may still answer; 429, 503
            ``too_many_waits``; 499 ``client_gone``.
        IdempotencyConflictError: As `publish`.
        DrainingError: This worker stops. Try again with the same key; another worker then waits.
        BrokerError: The command could not be sent.
    """
    with waits.here().one_more(sender):
        return wait_for(publish(name, command, args, sender=sender, key=key), seconds, gone)


def publish(name: str, command: str, args: object, *, sender: str, key: str | None = None) -> Sent:
    """Send a command; `wait_for` returns its answer. May switch.

    Args:
        sender, key: As in `send`.

    Raises:
        IdempotencyConflictError: The sender has used the key for another command. This one is not carried out.
        ApiError: 400 ``unknown_command``, ``invalid_args``; 404 ``no_such_wukong``; 409 ``agent_not_connected``.
        BrokerError: As `Simulcast.publish`.
    """
    try:
        checked = command_set.check(command, args)
    except CommandError as error:
        raise ApiError(400, error.code, str(error)) from None
    if service.find(name) is None:
        raise service.no_such(name)
    full = machine.canonical(name)
    id = secrets.token_hex(8) if key is None else _own_id(full, sender, key)
    data = {"id": id, "command": command, "args": args}
    if service.is_built_in(name):
        began = None if key is None else _begin(full, data)
        return _carried_out(full, id, checked) if began is None else Sent(id, full, began)
    if not is_connected(name):
        raise ApiError(
            409, "agent_not_connected", f"The agent of {name} does not listen. Start it, or look at its connection."
        )
    event = simulcast.publish(channel_of(name), data, type=COMMAND, idempotency_key=id)
    return Sent(id, full, str(event.position))


def wait_for(sent: Sent, seconds: float, gone: Gone) -> Answer:
    """Wait for the answer to a command. Switches.

    Args:
        gone: As in `send`.

    Raises:
        ApiError, DrainingError: As `send`.
    """
    if sent.answer is not None:
        return sent.answer
    began = time.monotonic()
    position = sent.position
    while True:
        try:
            page = simulcast.history(replies_of(sent.name), after=position, limit=_PAGE_EVENTS)
        except BrokerUnavailableError as error:
            # The error says "nothing was stored", which is wrong for the command. The answer can be read when the log is back.
            _log.warning("No answer to command %s can be read now: %s", sent.id, error)
        else:
            for answer in filter(None, map(_answer_in, page.events)):
                if answer.id == sent.id:
                    return answer
            position = str(page.position)
            if page.has_more:
                continue
        waited = time.monotonic() - began
        if waited >= seconds:
            raise ApiError(
                504,
                "no_answer",
                f"{sent.name} has not answered command {sent.id} within {seconds:g} s. It may yet do it.",
            )
        if simulcast.hub.is_draining:
            raise DrainingError("This worker is about to stop. The command was sent; ask again for its answer.")
        if gone.wait(min(_LOOK_SECONDS if waited < _SOON_SECONDS else _LOOK_LATER_SECONDS, seconds - waited)):
            # Only for the log: nginx's status for a client that has closed the request.
            raise ApiError(499, "client_gone", "The client has left. The command was sent; its answer is in the log.")


def is_connected(name: str) -> bool:
    """Tell whether the agent of a wukong listens. An agent that was cut off counts for another 3 s (8 s if its worker died).
    Waits half a second for an agent that has just connected, because the register is written a moment later. Switches.

    Raises:
        BrokerUnavailableError: The register can't be read.
    """
    deadline = time.monotonic() + _REGISTER_SECONDS
    while True:
        # One member is enough: no other name sorts between MEMBER[:-1] and MEMBER.
        if any(one.member == MEMBER for one in simulcast.members(channel_of(name), after=MEMBER[:-1], limit=1)):
            return True
        if time.monotonic() >= deadline:
            return False
        gevent.sleep(_REGISTER_SECONDS / 10)


def _own_id(name: str, sender: str, key: str) -> str:
    """Return the id of a command with a key: the same for each retry of one sender, another for every other sender."""
    return sha256("\n".join((sender, name, key)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _begin(name: str, data: Mapping[str, Any]) -> str | None:
    """Store a command with a key in the log before a built-in wukong carries it out, so that only one request of all workers
    does so.

    Returns:
        None for the first request. For others, the position after which the answer is stored, or will be.

    Raises:
        IdempotencyConflictError: As `publish`.
    """
    mark = secrets.token_hex(8)
    key = IdempotencyKey(str(data["id"]), fingerprint=json.dumps(data))
    event = simulcast.publish(channel_of(name), {**data, "begun": mark}, type=COMMAND, idempotency_key=key)
    # The stored event is the first request's, with its mark. An event this young is not trimmed.
    newest = simulcast.history(channel_of(name), limit=_PAGE_EVENTS).events
    stored = next((one for one in newest if one.position == event.position), None)
    is_first = stored is not None and json.loads(stored.data)["begun"] == mark
    return None if is_first else str(event.position)


def _carried_out(name: str, id: str, command: command_set.Command) -> Sent:
    """Carry out a command of a built-in wukong, and publish its answer.

    Raises:
        ApiError: 503 ``answer_not_stored``: the command was carried out; with the same key it is not carried out again.
    """
    try:
        answer = Answer(id, True, output=command_set.carry_out(command, BuiltIn(name)))
    except CommandError as error:
        answer = Answer(id, False, error=str(error))
    try:
        event = simulcast.publish(replies_of(name), msgspec.to_builtins(answer), type=RESULT, idempotency_key=id)
    except BrokerError as error:
        message = f"Command {id} was carried out, but the log has not taken its answer. Send it again, with a new key."
        raise ApiError(503, "answer_not_stored", message, {"Retry-After": "1"}) from error
    return Sent(id, name, str(event.position), answer)


def _answer_in(event: Event) -> Answer | None:
    """Return the answer in an event; None if it has none, because a client may publish anything there."""
    if event.type != RESULT:
        return None
    try:
        data: Any = json.loads(event.data)
    except RecursionError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("ok"), bool):
        return None
    id, ok, output, error = data.get("id"), data["ok"], data.get("output"), data.get("error")
    if ok:
        return Answer(str(id), True, output=output if isinstance(output, dict) else {})
    return Answer(str(id), False, error=str(error))
