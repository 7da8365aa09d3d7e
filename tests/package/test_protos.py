"""The generated modules are those of the .proto files beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tools.layers import EXTENSION

PROTO = EXTENSION / "proto"


def test_the_generated_modules_are_up_to_date(tmp_path: Path) -> None:
    sources = [str(file.relative_to(PROTO)) for file in PROTO.rglob("*.proto")]
    made_by = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{PROTO}",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*made_by, *sources], check=True, timeout=60)
    for made in tmp_path.rglob("*_pb2.py*"):
        assert made.read_text() == (PROTO / made.relative_to(tmp_path)).read_text(), "stale: run scripts/protos"
