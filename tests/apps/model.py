"""The view of docs/writer.md for the tokens of a language model, as it stands there."""

from __future__ import annotations

from gevent import monkey

if not monkey.is_module_patched("socket"):
    monkey.patch_all()

import os
from pathlib import Path

from flask import Flask

from app.flask_simulcast import Simulcast

_DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "writer.md"

app = Flask(__name__)
app.config["SIMULCAST_BROKER_URL"] = "memory://"
simulcast = Simulcast(app)
_example = (
    _DOCUMENT.read_text().partition("## Tokens of a language model")[2].partition("```python")[2].partition("```")[0]
)
_example = _example.replace("https://model.example/v1/answers", os.environ["MODEL_URL"])
exec(_example, {"app": app, "simulcast": simulcast})
