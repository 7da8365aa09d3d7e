"""The generated modules are those of the .proto files beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.layers import EXTENSION
from tests.tools.serving import ROOT

PROTO = EXTENSION / "proto"
PROTOC = [sys.executable, "-m", "grpc_tools.protoc"]


@pytest.mark.parametrize(
    "folder",
    [PROTO / "simulcast", ROOT / "app" / "features" / "wukongs" / "proto" / "wukongs"],
    ids=lambda folder: folder.name,
)
def test_the_generated_modules_are_up_to_date(tmp_path: Path, folder: Path) -> None:
    source = folder.parent
    files = [str(file.relative_to(source)) for file in folder.rglob("*.proto")]
    made_by = [*PROTOC, f"-I{source}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*made_by, *files], check=True, timeout=60)
    for made in tmp_path.rglob("*_pb2.py*"):
        assert made.read_text() == (source / made.relative_to(tmp_path)).read_text(), "stale: run scripts/protos"


def test_the_description_of_others_services_is_up_to_date(tmp_path: Path) -> None:
    made, files = tmp_path / "grpc.binpb", sorted(str(file.relative_to(PROTO)) for file in PROTO.glob("grpc/*.proto"))
    subprocess.run([*PROTOC, f"-I{PROTO}", f"--descriptor_set_out={made}", *files], check=True, timeout=60)
    assert made.read_bytes() == (PROTO / "grpc.binpb").read_bytes(), "stale: run scripts/protos"
