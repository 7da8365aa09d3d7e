"""What operators ask: the metrics of all workers of a machine added up, and whether a worker is alive and ready.

`Simulcast.ops` makes a blueprint of it for any app. An app that has routes of its own for this uses the parts.
"""

from __future__ import annotations

from ..metrics import BUCKETS
from .exposition import exposition
from .figures import Figures
from .folder import Machine
from .reporter import Reporter

__all__ = ["BUCKETS", "Figures", "Machine", "Reporter", "exposition"]
