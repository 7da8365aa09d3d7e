"""The OpenAPI document says what the service does: asked at random, by a tool that reads nothing else.

Streams never end, so the tool always asks them with ``Last-Event-ID: end``: with that, what would be a stream is
answered 204, and refusals are as usual. Their success is what all other tests of streams are about.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.fleet import JWT_KEY, call, connect, listen, token, wait_for_listeners
from tests.tools.serving import BEARER, PATHS, Server, serve

PHASES = "examples,coverage,fuzzing"
SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")
# The same requests in each run, one after the other, none of them twice.
OPTIONS = [
    f"--max-examples={os.environ.get('EXAMPLES', '5')}",  # scripts/nightly has more
    "--seed=1",
    "--generation-database=none",
    "--request-timeout=10",
    "--request-retries=0",
    "--no-color",
]
# One stream is there to be asked for, and ends. The tool compares each event with its schema, a text.
CONFIG = """
[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_schema_conformance.enabled = true
[[operations]]
include-name = "POST /api/v1/completions/ui"
checks.response_schema_conformance.enabled = false
"""
# What a browser is shown is no API.
PAGES = {
    "/",
    "/chat",
    "/completions",
    "/dashboard",
    "/notifications",
    "/ops",
    "/playground",
    "/tasks",
    "/usage",
    "/wukongs",
    "/docs/",
    "/docs/<path:name>",
    "/docs/openapi/",
    "/simulcast/<path:filename>",
    "/static/<path:filename>",
}


documented = server_fixture(jwt_key=JWT_KEY, jwt_cookie="token", anonymous_channels="a,wukong:*", presence_channels="a")


@pytest.fixture(scope="module")
def document(documented: Server) -> Any:
    return documented.get_json("/openapi.json")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("headers", "phases"),
    [
        (BEARER, PHASES),
        # Without a right no answer should depend on the form of the rest, so scripts/nightly alone tries each form.
        ({}, PHASES if "EXAMPLES" in os.environ else "examples,fuzzing"),
    ],
    ids=["everything", "nothing"],
)
def test_clients_with_all_rights_and_with_none_get_documented_answers(
    documented: Server, tmp_path: Path, headers: dict[str, str], phases: str
) -> None:
    options = [f"--header={name}:{value}" for name, value in (headers | {"Last-Event-ID": "end"}).items()]
    wait_for_listeners(documented, set())
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    run = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            f"http://127.0.0.1:{documented.port}/openapi.json",
            f"--phases={phases}",
            *OPTIONS,
            *options,
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]


def test_every_route_stands_in_the_document_and_no_other(document: Any, tmp_path: Path) -> None:
    code = (
        "import json; from app import create_app; app = create_app({'SIMULCAST_BROKER_URL': 'memory://'});"
        "print(json.dumps([[rule.rule, sorted(rule.methods)] for rule in app.url_map.iter_rules()]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": PATHS},
        check=True,
        capture_output=True,
        text=True,
    )
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule), method.lower())
        for rule, methods in json.loads(printed.stdout)
        for method in methods
        if method not in ("HEAD", "OPTIONS") and rule not in PAGES
    }
    assert served == {(path, method) for path, methods in document["paths"].items() for method in methods}


def test_the_document_is_one_by_the_rules_of_openapi(document: Any) -> None:
    import schemathesis  # takes half a second, which each process of the tests would spend

    schemathesis.openapi.from_dict(document).validate()


def test_every_reference_leads_to_a_schema_and_every_schema_has_a_plain_name(document: Any) -> None:
    """msgspec gives two types with one name the names of their modules, but the references to one of them stay short."""
    schemas = document["components"]["schemas"]
    referred = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    assert len(referred) > 60
    assert set(referred) <= set(schemas)
    assert all(name.isidentifier() for name in schemas)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/chat/{room}/message", {"user": "Ann", "message": "Hello\nworld"}),
        ("/api/v1/chat/{room}/message", {"user": "Ann", "message": "\t \n"}),
        ("/api/v1/chat/{room}/message", {"user": "Ann", "message": "a\u0007"}),
        ("/api/v1/chat/{room}/message", {"user": "A\u200bnn", "message": "Hello"}),
        ("/api/v1/chat/{room}/typing", {"user": "Ann Lee"}),
        ("/api/v1/chat/{room}/typing", {"user": " Ann"}),
        ("/api/v1/wukongs/{name}/commands", {"command": "ping"}),
        ("/api/v1/wukongs/{name}/commands", {"command": "ping", "args": {"limit": 1}}),
        ("/api/v1/wukongs/{name}/commands", {"command": "set_interval", "args": {"seconds": 5}}),
        ("/api/v1/wukongs/{name}/commands", {"command": "set_interval"}),
        ("/api/v1/wukongs/{name}/commands", {"command": "processes", "args": {"limit": 50, "by": "memory"}}),
        ("/api/v1/wukongs/{name}/commands", {"command": "processes", "args": {"limit": 51}}),
        ("/api/v1/wukongs/{name}/commands", {"command": "reboot"}),
    ],
)
def test_schema_of_a_body_takes_what_the_service_takes(documented: Server, document: Any, path: str, body: Any) -> None:
    import jsonschema_rs  # a part of schemathesis

    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    is_valid = jsonschema_rs.validator_for({**schema, "components": document["components"]}).is_valid(body)
    status, _, answer = documented.request("POST", path.format(room="lobby", name="host"), body, BEARER)
    assert (status != 400) == is_valid, answer


def test_every_operation_says_what_it_is_and_who_may(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert path.startswith(("/api/", "/v1/", "/ws")) == bool(operation["security"]), where
            for parameter in operation.get("parameters", []):
                assert parameter.get("description") or parameter["schema"].get("description"), (
                    where,
                    parameter["name"],
                )


def test_a_right_that_is_documented_is_asked_before_query_and_body_are_read(documented: Server, document: Any) -> None:
    """Both are wrong here, and no client without a token is told so."""
    wrong = "channel=x&limit=no&interval=no&wait=no&reconnect=no"
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/api/") or (method == "get" and "/wukongs" in path and {} in operation["security"]):
                continue  # open to all on this server
            body = b"{" if "requestBody" in operation else None
            url = re.sub(r"{\w+}", "x", path) + "?" + wrong
            assert documented.request(method.upper(), url, body)[0] == 401, f"{method} {path}"
            asked += 1
    assert asked >= 18


HI = {"type": "text", "text": "Hi"}


def said(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "parts": []}, {"role": "user", "parts": [*parts]}], **fields}


def checksum(**options: Any) -> dict[str, Any]:
    return {"kind": "checksum", "options": options}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/completions/ui", said(HI, {"type": "step-start"}, {"type": "data-x", "data": 1}, temperature=1), 200),
        ("/completions/ui", said(HI, model="echo", stream=None, n=1, messageId=None, conversation="x" * 32), 200),
        ("/completions/ui", said(), 400),
        ("/completions/ui", said({"type": "text", "text": ""}), 400),
        ("/completions/ui", said(HI, {"type": "file", "url": "data:"}), 400),
        ("/completions/ui", said(HI, {"type": "text2"}), 400),
        ("/completions/ui", said(HI, n=2), 400),
        ("/completions/ui", said(HI, max_tokens=1 << 70), 400),
        ("/completions/ui", said(HI, conversation="a b"), 400),
        ("/completions/ui", said(HI, when_busy="perhaps"), 400),
        ("/completions/ui", said(HI, model="x" * 257), 400),
        ("/process", checksum(bytes=1, algorithm="md5"), 202),
        ("/process", checksum(), 400),
        ("/process", {"kind": "checksum"}, 400),
        ("/process", {"kind": "compress", "options": {"level": 9}}, 400),
        ("/process", {"kind": "wordcount"}, 400),
    ],
)
def test_what_a_schema_allows_is_taken_and_nothing_else(
    documented: Server, document: Any, path: str, body: Any, status: int
) -> None:
    described = document["paths"]["/api/v1" + path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = described | {"components": document["components"]}
    assert jsonschema_rs.is_valid(schema, body) == (status < 300)
    answered, _, answer = documented.request("POST", "/api/v1" + path, body, BEARER)
    assert answered == status
    if status != 200:
        check(document, "POST", path, status, json.loads(answer))


def test_what_succeeds_for_who_is_connected_is_as_documented(documented: Server, document: Any) -> None:
    """A tool that reads the document alone has no connected listener."""
    bearer = token("ann", subscribe=["*"], meta={"name": "Ann"})
    with listen(documented, "channel=a&channel=b", bearer) as client:
        id = connect(client)
        wait_for_listeners(documented, {id})
        call(documented, "POST", "/events", {"channel": "a", "data": {"n": 10**30}}, status=201)
        for method, path, template, body, status in (
            ("GET", "/listeners", "/listeners", None, 200),
            ("GET", "/channels/a/history", "/channels/{channel}/history", None, 200),
            ("GET", "/channels/a/history?after=x", "/channels/{channel}/history", None, 200),
            ("GET", "/channels/a/presence", "/channels/{channel}/presence", None, 200),
            ("POST", f"/listeners/{id}/events", "/listeners/{listener}/events", {"data": 1}, 201),
        ):
            answer = call(documented, method, path, body, status=status)
            assert any(answer.values()), "something to look at"
            check(document, method, template, status, answer)
        call(documented, "DELETE", f"/listeners/{id}", status=204)


def test_stream_sends_what_the_asyncapi_document_says(documented: Server) -> None:
    described = documented.get_json("/asyncapi.json")
    assert described["servers"]["ws"]["host"] == f"127.0.0.1:{documented.port}"
    messages, components = described["channels"]["stream"]["messages"], described["components"]
    with SSEClient(
        documented.port, f"{described['channels']['stream']['address']}?channel=a&last_event_id=x"
    ) as client:
        gap, connected = client.take(2)
        call(documented, "DELETE", f"/listeners/{connected.json['listener']}", status=204)
        closed = client.until("closed")
    for block in (gap, connected, closed):
        jsonschema_rs.validate(messages[block.type]["payload"] | {"components": components}, block.json)


def check(document: Any, method: str, path: str, status: int, answer: Any) -> None:
    """Whether this is an answer that the document describes."""
    described = document["paths"]["/api/v1" + path][method.lower()]["responses"][str(status)]
    schema = described["content"]["application/json"]["schema"] | {"components": document["components"]}
    jsonschema_rs.validate(schema, answer)


def test_no_request_of_this_module_made_a_500(documented: Server) -> None:
    assert "Traceback" not in documented.log


@pytest.mark.parametrize(("level", "is_told"), [("1", False), ("2", True)])
def test_a_start_without_docstrings_says_that_the_document_describes_nothing(
    tmp_path: Path, level: str, is_told: bool
) -> None:
    """Bug F17: under ``-OO`` summaries and descriptions were missing silently."""
    with serve(tmp_path, PYTHONOPTIMIZE=level) as server:
        operations = [
            operation
            for path in server.get_json("/openapi.json")["paths"].values()
            for method, operation in path.items()
            if method in ("get", "post", "put", "delete")
        ]
        assert all(operation["summary"] for operation in operations) != is_told
        assert ("Python runs without docstrings" in server.log) == is_told
        server.publish("a", 1)
