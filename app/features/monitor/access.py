"""Access: the rights to watch the dashboard, and to read it."""

from __future__ import annotations

from ...identity.rights import Listen, Subscribe
from .samples import CHANNEL

WATCH = Listen(CHANNEL)
READ = Subscribe(CHANNEL)
