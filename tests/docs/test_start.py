"""docs/start.md: a first event, a connection that comes back, a token; and what `scripts/run` prints (newcomer frictions 3,
4 and 25)."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import Reader, service_reader
from tests.tools.serving import wait_until

PAGE = Page("docs/start.md")
RUN = PAGE.take("Look at this machine", "sh")
WATCH = PAGE.take("Look at this machine", "sh")
LISTEN = PAGE.take("Publish an event", "sh")
PUBLISH = PAGE.take("Publish an event", "sh")
COME_BACK = PAGE.take("Lose a connection", "sh")
RUN_WITH_TOKENS = PAGE.take("A token for a user", "sh")
PUBLISH_WITH_TOKEN = PAGE.take("A token for a user", "sh")
HEALTH = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/healthz"
# The commands that the server prints: below the lines that say what each is for.
PRINTED = re.compile(r"listen, .*:\n  (curl .*)\n.*publish, .*:\n  (curl .*\n .*)\n", re.IGNORECASE)


def test_first_event_comes_and_a_missed_one_and_one_by_token(tmp_path: Path) -> None:
    """Friction 3: the second server died on the port of the first, and curl was faster than the server."""
    with service_reader(tmp_path) as reader:
        with reader.serving(RUN), reader.running(LISTEN) as terminal:
            terminal.wait_for("event: connected")
            assert '"positions"' in reader.run(PUBLISH)
            terminal.wait_for('data: {"text":"hello"}')
            with reader.running(WATCH) as status:
                status.wait_for("event: status")
        key = (tmp_path / "instance" / "publish.key").read_text().strip()
        assert key not in (tmp_path / "server.log").read_text()
        last_id = re.findall(r"^id: (.*)$", terminal.output, re.MULTILINE)[-1]
        with reader.serving(RUN_WITH_TOKENS):  # the key of the first start opens it
            reader.run(PUBLISH_WITH_TOKEN)
            with reader.running(COME_BACK.replaced({"…": last_id})) as terminal:
                terminal.wait_for('data: {"text":"hello from Alice"}')
                assert '{"text":"hello"}' not in terminal.output


def test_what_the_server_prints_can_be_pasted_in_any_folder(tmp_path: Path) -> None:
    """Friction 4. The key itself is shown to a terminal alone; the folder's name has to be quoted."""
    with service_reader(tmp_path / "a clone") as reader:
        ours, its_stdout = os.openpty()
        try:
            with reader.serving(f"{RUN.text.strip()} > {os.ttyname(its_stdout)}") as server:
                printed = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
                key_file = reader.folder / "instance" / "publish.key"
                assert key_file.stat().st_mode & 0o777 == 0o600
                assert f"http://127.0.0.1:{server.port}/docs/ (./scripts/docs builds them, once)\n" in printed
                assert key_file.read_text().strip() in printed
                listen, publish = PRINTED.findall(printed)[0]
                with reader.running(f"cd / && {listen}") as terminal:
                    terminal.wait_for("event: connected")
                    reader.run(f"cd / && {publish}")
                    terminal.wait_for('data: {"text":"hello"}')
        finally:
            os.close(ours)
            os.close(its_stdout)


def test_taken_port_is_said_in_one_sentence_with_what_to_do(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, socket.create_server(("127.0.0.1", reader.port)):
        run = started(reader, RUN.text)
        assert run.returncode == 2
        said = run.stderr.splitlines()[-1]
        assert said.startswith(f"Port {reader.port} is already in use. ")
        assert said.endswith(f"BIND=127.0.0.1:{reader.port + 1} ./scripts/run")
        assert "Traceback" not in run.stderr


def test_another_port_is_one_variable_and_an_empty_key_is_no_key(tmp_path: Path) -> None:
    """The page names BIND; gunicorn.conf.py reads it, where GUNICORN_CMD_ARGS says nothing."""
    with service_reader(tmp_path) as reader:
        (tmp_path / "build" / "docs").mkdir(parents=True)
        command = f"BIND=127.0.0.1:{reader.port} SIMULCAST_PUBLISH_KEY= {RUN.text}"
        with reader.serving(command, GUNICORN_CMD_ARGS="") as server:
            assert server.request("POST", "/api/v1/events", {"channel": "news", "data": 1})[0] == 403
            output = (tmp_path / "server.log").read_text()
            assert "/docs/\n" in output
            assert "Publish key" not in output
            assert not (tmp_path / "instance" / "publish.key").exists()


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    """A terminal sends INT to all processes, and the master then tells its workers once more."""
    with service_reader(tmp_path) as reader, reader.running(RUN) as running:
        running.wait_for("Booting worker", 40)
        wait_until(lambda: reader.run(HEALTH) == "200" and running.output.count("Booting worker") == 2, 20)
        os.killpg(running.shell.pid, signal.SIGINT)
        wait_until(lambda: running.has_ended, 20, "the server to end")
        assert "Traceback" not in running.output


def started(reader: Reader, command: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        shlex.split(command),
        cwd=reader.folder,
        env=reader.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
