"""docs/completions.md: by curl, and with OpenAI's client."""

from __future__ import annotations

from pathlib import Path

from tests.docs.page import Page
from tests.docs.reader import service_reader

PAGE = Page("docs/completions.md")
CURL = PAGE.take("Completions: answers that survive a reload", "sh")
CLIENT = PAGE.take("Completions: answers that survive a reload", "python")


def test_curl_and_openai_client_get_what_they_said(tmp_path: Path) -> None:
    with service_reader(tmp_path) as reader, reader.serving("scripts/run"):
        output = reader.run(CURL)
        assert '"delta":{"content":" morning"}' in output
        assert output.endswith("data: [DONE]\n\n")
        client = CLIENT.text.replace(":8000/", f":{reader.port}/")
        (tmp_path / "client.py").write_text(client)
        assert reader.run(".venv/bin/python client.py") == "Good morning"
