"""Channels of the service's own. Events on them are commands, or speech in a person's name: so only a pattern that names the
prefix reaches them, a star alone does not."""

from __future__ import annotations

#: Commands to a wukong's agent.
AGENT = "wukong-agent."
#: Its answers.
REPLIES = "wukong-replies."
#: Messages of a room of the chat.
ROOM = "chatroom:"

RESERVED = (AGENT, REPLIES, ROOM)
