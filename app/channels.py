"""The service's own channels. Their events are commands, or messages in a person's name, so a pattern must name the prefix to
match them: a star alone does not."""

from __future__ import annotations

#: Commands to a wukong's agent.
AGENT = "wukong-agent."
#: The agent's answers.
REPLIES = "wukong-replies."
#: Messages of a chat room.
ROOM = "chatroom:"
#: Notifications of one user.
NOTIFICATIONS = "notifications:"

RESERVED = (AGENT, REPLIES, ROOM, NOTIFICATIONS)
