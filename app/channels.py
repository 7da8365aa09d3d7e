"""The service's own channels. Their events are commands, messages in a person's name, or names of answers, so a pattern must name the prefix to
match them: a star alone does not."""

from __future__ import annotations

from collections.abc import Collection

from .flask_simulcast import Event

#: Commands to a wukong's agent.
AGENT = "wukong-agent."
#: The agent's answers.
REPLIES = "wukong-replies."
#: Messages of a chat room.
ROOM = "chatroom:"
#: Notifications of one user.
NOTIFICATIONS = "notifications:"
#: Which completion is the newest of a chat.
CHAT_ANSWERS = "chat-answers:"
#: What is said in one conversation.
CONVERSATION = "conversation:"
#: What operators watch.
OPERATIONS = "operations:"

RESERVED = (AGENT, REPLIES, ROOM, NOTIFICATIONS, CHAT_ANSWERS, CONVERSATION, OPERATIONS)


def poses_as(event: Event, types: Collection[str]) -> bool:
    """Tell whether a broadcast, or an event for a user, has the name of one of a feature's own events, whose streams get it, too.
    Pure."""
    return event.type in types and (event.channel == "all" or event.channel.startswith("user:"))
