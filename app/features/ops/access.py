"""Access: the rights to watch the operations of the service."""

from __future__ import annotations

from ...identity.rights import Listen, Subscribe
from .past import CHANNEL

WATCH, READ = Listen(CHANNEL), Subscribe(CHANNEL)
