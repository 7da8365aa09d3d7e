"""The Dockerfile, as far as can be told without building it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools.require import require
from tests.tools.serving import ROOT

DOCKERFILE = ROOT / "Dockerfile"


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of this name, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} +(.+)$", text, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    binary = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    command = [require("hadolint", binary), "--failure-threshold", "style", str(DOCKERFILE)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_all_stages_come_from_one_image_with_a_full_version() -> None:
    assert [argument.split()[0] for argument in instructions("FROM")] == ["${PYTHON_IMAGE}"] * 3
    (image,) = [argument for argument in instructions("ARG") if argument.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", image)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [argument.split()[:-1] for argument in instructions("COPY") if not argument.startswith("--from")]
    sources = {source for sources in copied for source in sources}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_packages_are_checked_against_their_hashes() -> None:
    installs = [command for command in instructions("RUN") if "install" in command and "requirements" in command]
    assert len(installs) == 2
    assert all("--require-hashes" in install for install in installs)


def test_documents_are_built_from_what_is_copied(tmp_path: Path) -> None:
    text = DOCKERFILE.read_text()
    stage = text[text.index("AS docs") : text.index("\nFROM", text.index("AS docs"))]
    for source in re.findall(r"^COPY (.+) \S+$", stage, re.MULTILINE):
        for name in source.split():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    (command,) = re.findall(r"/opt/venv/bin/mkdocs (.+)$", stage, re.MULTILINE)
    subprocess.run([Path(sys.executable).with_name("mkdocs"), *command.split()], cwd=tmp_path, check=True, timeout=100)
    (copied,) = [argument.split()[-2:] for argument in instructions("COPY") if argument.startswith("--from=docs")]
    assert copied == ["/src/build/docs", "build/docs"]
    assert (tmp_path / "build" / "docs" / "start" / "index.html").exists()


def test_it_runs_as_an_unprivileged_user_and_stops_on_term() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    # A shell in between would not hand TERM on.
    assert instructions("CMD") == ['["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]']
    assert "/healthz" in DOCKERFILE.read_text().partition("HEALTHCHECK")[2]
