"""Chats: which answer was begun last for a chat. A client that was reloaded knows nothing but the id of its chat."""

from __future__ import annotations

import json
from hashlib import sha256

from ....channels import CHAT_ANSWERS
from ....extensions import simulcast
from ....flask_simulcast import Grant, RunState
from ....flask_simulcast.errors import NoSuchRunError
from .. import access


def note(chat: str, answer: str, grant: Grant) -> None:
    """Note that this answer is the newest of a chat. Switches.

    Raises:
        BrokerUnavailableError, PublishUncertainError: As `Simulcast.publish`.
    """
    simulcast.publish(_channel(chat, grant), answer)


def running(chat: str, grant: Grant) -> RunState | None:
    """Return the answer that is being made for a chat of this grant's user; None if there is none. Switches."""
    for event in simulcast.history(_channel(chat, grant), limit=1).events:
        try:
            state = access.find(str(json.loads(event.data)), grant)
        except NoSuchRunError:
            return None
        return None if state.ending else state
    return None


def _channel(chat: str, grant: Grant) -> str:
    """Return the channel of a chat. A hash, because the id of a chat can have any character."""
    return CHAT_ANSWERS + sha256(json.dumps([grant.user, chat]).encode()).hexdigest()
