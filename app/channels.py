"""The service's own channels. Their events are commands, messages in a person's name, or names of answers, so a pattern must name the prefix to
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
#: Which completion is the newest of a chat.
CHAT_ANSWERS = "chat-answers:"
#: What is said in one conversation.
CONVERSATION = "conversation:"
#: What operators watch.
OPERATIONS = "operations:"

#: Beginnings of the channels whose events reach streams of every feature: for everyone, and for one user.
OF_ALL_STREAMS = ("all", "user:")

RESERVED = (AGENT, REPLIES, ROOM, NOTIFICATIONS, CHAT_ANSWERS, CONVERSATION, OPERATIONS)
