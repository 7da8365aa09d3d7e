"""The wheel builds, installs into an empty environment, and the app of its README works there."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

from trove_classifiers import classifiers

from tests.tools.clients import SSEClient
from tests.tools.serving import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_app_of_the_readme_works_in_an_empty_environment_with_the_oldest_gunicorn(tmp_path: Path) -> None:
    """The oldest that the extra lets a project keep (friction 19). ``tests.tools.newcomer`` uses the newest."""
    wheel = build(tmp_path / "dist")
    assert holds_the_extension_alone(wheel)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--disable-pip-version-check",
        f"flask-simulcast[gunicorn] @ file://{wheel}",
        "gunicorn==23.0.0",
    )
    block = re.search(r"```python\n(.*?)```", (ROOT / "app/flask_simulcast/README.md").read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "app.py").write_text(block[1])
    port = free_port()
    server = subprocess.Popen(
        [python, "-m", "gunicorn", "-k", "gevent", "-w", "2", "-b", f"127.0.0.1:{port}", "app:app"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until(lambda: server.poll() is not None or answers(port), 30, "the app to answer")
        with SSEClient(port, "/orders/stream") as client:
            client.until("connected")
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/orders", b'{"id": 7}', {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as response:
                assert response.status == 201
            event = client.until("created")
            assert event.json == {"id": 7}
        with SSEClient(port, "/orders/stream", last_event_id=event.id) as client:
            assert client.until("connected").id == event.id
    finally:
        server.terminate()
        server.communicate(timeout=40)


def test_the_wheel_says_its_licence_and_has_known_classifiers_and_the_plugin(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(tmp_path)) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(path))
        licence = archive.read(path.replace("METADATA", "licenses/LICENSE"))
        entry_points = archive.read(path.replace("METADATA", "entry_points.txt")).decode()
    assert told["License-Expression"] == "MIT"
    assert "[pytest11]\nflask-simulcast = flask_simulcast.testing.plugin" in entry_points
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert set(told.get_all("Classifier", [])) <= classifiers
    assert not [name for name in told.get_all("Classifier", []) if name.startswith("License ::")]


def build(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def holds_the_extension_alone(wheel: Path) -> bool:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    static = {f"static/{name}.js" for name in ("simulcast", "views", "tabs", "offline", "react", "vue")}
    data = {"py.typed", "brokers/redis/scripts/prelude.lua"} | static
    assert {f"flask_simulcast/{name}" for name in data} <= set(names)
    return all(name.startswith(("flask_simulcast/", "flask_simulcast-")) for name in names)


def run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def answers(port: int) -> bool:
    try:
        with SSEClient(port, "/orders/stream") as client:
            return client.status == 200
    except OSError:
        return False
