"""docs/completions.md: by curl, with OpenAI's client, and with the AI SDK."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader
from tests.tools.require import require
from tests.tools.serving import ROOT, free_port

PAGE = Page("docs/completions.md")
CURL = PAGE.take("Completions: answers that survive a reload", "sh")
CLIENT = PAGE.take("Completions: answers that survive a reload", "python")
TALK = PAGE.take("Conversations", "sh")
DEVICE = PAGE.take("Conversations", "js")
SDK = PAGE.take("Vercel's AI SDK", "js")
MODEL = PAGE.take_untried("A small model on this machine", "sh")
UPSTREAM = PAGE.take("A model behind it", "sh")

INSTALLED = ROOT / "tests" / "parsers" / "node_modules"


def test_server_without_its_upstream_says_so_and_asks_for_a_token(tmp_path: Path) -> None:
    url = UPSTREAM.replaced({"http://127.0.0.1:11434/v1": f"http://127.0.0.1:{free_port()}/v1"})
    with service_reader(tmp_path) as reader, reader.serving(url) as server:
        assert server.request("GET", "/v1/models")[0] == 401
        key = (tmp_path / "instance" / "publish.key").read_text().strip()
        status, _, body = server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_unavailable")


def test_small_model_is_installed_as_the_nightly_tests_install_it() -> None:
    install = MODEL.lines[0].removeprefix(".venv/bin/pip install ")
    nightly = (ROOT / "scripts" / "nightly").read_text()
    assert install.replace(" -r", " --target build/model -r") in nightly
    assert (ROOT / install.split()[-1]).is_file()


def test_curl_and_openai_client_get_what_they_said(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving("scripts/run"):
        output = reader.run(CURL)
        assert '"delta":{"content":" morning"}' in output
        assert output.endswith("data: [DONE]\n\n")
        client = CLIENT.text.replace(":8000/", f":{reader.port}/")
        (tmp_path / "client.py").write_text(client)
        assert reader.run(".venv/bin/python client.py") == "Good morning"
        (tmp_path / "chat.mjs").write_text(SDK.text.replace(":8000/", f":{reader.port}/"))
        require("ai", next(map(str, INSTALLED.glob("ai")), None))
        (tmp_path / "node_modules").symlink_to(INSTALLED)
        assert reader.run("node chat.mjs") == "Good morning"


def test_conversation_is_read_and_followed_by_another_device(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving("scripts/run"):
        output = reader.run(f"{TALK.text}\necho; echo $ID")
        *_, read, id = output.splitlines()
        turns = json.loads(read[read.rindex('{"id":"' + id) :])["turns"]
        assert [turn["messages"][0]["content"] for turn in turns] == ["Good morning", "And goodbye"]
        assert turns[0]["answer"]["content"] == "Good morning"
        (tmp_path / "device.mjs").write_text(DEVICE.text.replace(":8000/", f":{reader.port}/"))
        (tmp_path / "node_modules").symlink_to(INSTALLED)
        asks = TALK.text[TALK.text.index("ask() {") : TALK.text.index('ask "Good')]
        with reader.running(f"node device.mjs {id}") as terminal:
            terminal.wait_for("2 turns so far")
            reader.run(f'ID={id}\n{asks}\nask "It is {{late}}"')
            terminal.wait_for("complete It is {late}")
