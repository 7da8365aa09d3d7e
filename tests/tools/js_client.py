"""The JavaScript client of ``clients/js``, built from its sources, and its own tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.tools.require import require
from tests.tools.serving import ROOT

FOLDER = ROOT / "clients/js"
STATIC = ROOT / "app/flask_simulcast/static"


def build_modules() -> Path:
    """Build ``dist/`` if a source is newer. Processes that want it at the same time wait for the first. Returns the package."""
    sources = [FOLDER / "build.mjs", *FOLDER.glob("src/**/*.ts")]
    newest = max(path.stat().st_mtime for path in sources)
    built = [FOLDER / "dist" / path.relative_to(FOLDER / "src").with_suffix(".js") for path in sources[1:]]
    _require_tools()
    with (FOLDER / "node_modules/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(path.exists() and path.stat().st_mtime >= newest for path in built):
            run("node", "build.mjs", "modules")
    return FOLDER


def build_bundles(folder: Path) -> dict[str, bytes]:
    """Build the files that the wheel serves, but elsewhere."""
    _require_tools()
    run("node", "build.mjs", "bundles", folder)
    return files_of(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    """Names and contents."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run_tests(*files: str, **environment: object) -> None:
    """Run ``node --test`` on files of ``clients/js/test``."""
    build_modules()
    options = ("--test", "--test-reporter=spec", "--test-timeout=40000")
    run("node", *options, *(f"test/{file}" for file in files), **environment)


def run(*command: object, **environment: object) -> None:
    """Run a command in the package's folder. It must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=FOLDER,
        env=os.environ | {name: str(value) for name, value in environment.items()},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def _require_tools() -> None:
    require("node", shutil.which("node"))
    require("esbuild", next(map(str, FOLDER.glob("node_modules/esbuild")), None))
