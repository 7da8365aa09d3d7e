"""Another app, with other constants than it has: values that are measured and no settings. `serve` names both in the environment."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import json
import os
import pkgutil

for place, value in json.loads(os.environ["TUNED_CONSTANTS"]).items():
    module, _, constant = place.rpartition(".")
    owner = pkgutil.resolve_name(module)
    assert hasattr(owner, constant), f"there is no {place}"
    setattr(owner, constant, value)
app = pkgutil.resolve_name(os.environ["TUNED_APP"])
