"""Access: the right to watch the dashboard."""

from __future__ import annotations

from ...identity.rights import Listen
from .samples import CHANNEL

WATCH = Listen(CHANNEL)
