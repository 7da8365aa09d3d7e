"""Access: the rights to watch the operations of the service."""

from __future__ import annotations

from ...channels import OPERATIONS
from ...identity.rights import Listen, Subscribe

WATCH, READ = Listen(f"{OPERATIONS}figures"), Subscribe(f"{OPERATIONS}figures")
