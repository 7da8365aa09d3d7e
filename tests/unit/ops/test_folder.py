"""The folder in which workers leave their figures."""

from __future__ import annotations

import os
from pathlib import Path

from app.flask_simulcast.ops.figures import Figures
from app.flask_simulcast.ops.folder import Folder


def test_what_a_killed_worker_left_half_done_is_cleared_by_the_next(tmp_path: Path) -> None:
    one, two = Folder(tmp_path), Folder(tmp_path)
    one.write(Figures())
    (tmp_path / "0123456789abcdef.new").touch()  # killed before its lock had its name
    killed = "fedcba9876543210"
    for end in ("lock", "json", "json.new"):  # killed while it wrote its figures
        (tmp_path / f"{killed}.{end}").touch()
    two.write(Figures())
    assert len(os.listdir(tmp_path)) == 6, "two files for each worker and two of all"
    assert one.read().workers == 2


def test_a_file_without_a_lock_is_cleared_by_a_read(tmp_path: Path) -> None:
    """Of a worker that was killed before its lock had its name, or as its files were cleared."""
    folder = Folder(tmp_path)
    folder.write(Figures())
    for name in ("0123456789abcdef.new", "1123456789abcdef.json", "2123456789abcdef.json.new"):
        (tmp_path / name).touch()
    assert folder.read().workers == 1
    assert len(os.listdir(tmp_path)) == 4, "two files of the worker and two of all"
