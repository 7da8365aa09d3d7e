"""Cross-origin requests to every route of the API: who may read the answers, and what a preflight allows."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest
from werkzeug.routing import Map, Rule

from tests.tools.clients import SSEClient
from tests.tools.fixtures import server_fixture
from tests.tools.serving import BEARER, BURST_SECONDS, KEY, Server, serve

PAGE = "https://app.example"
FOREIGN = "https://evil.example"
API = ("/api/v1/", "/v1/")
# Of any rule: the names that its URL may hold.
ANY = "x"


# Listening needs a token here, so that every route has an error to answer.
server = server_fixture(app="tests.apps.operated:app", allowed_origins=PAGE, anonymous_channels="")


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Rule]:
    """Every rule of the service under the prefixes of the API."""
    from app import create_app

    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("app"))  # for its instance folder
    try:
        app = create_app({"SIMULCAST_BROKER_URL": "memory://"})
    finally:
        os.chdir(before)
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(API)]
    assert len(rules) >= 6
    return rules


def url_of(rule: Rule) -> str:
    _, url = rule.build(dict.fromkeys(rule.arguments, ANY), append_unknown=False) or ("", "")
    return str(url)


def methods_of(rules: list[Rule], rule: Rule) -> set[str]:
    """Several rules may share a URL, and a name may stand where another rule has a variable."""
    urls = Map([each.empty() for each in rules]).bind("localhost")
    return {method for each in rules for method in each.methods or () if urls.test(url_of(rule), method)}


def preflight(server: Server, url: str, method: str, origin: str) -> tuple[int, dict[str, str]]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    status, headers, body = server.request("OPTIONS", url, headers=asked)
    assert not body
    return status, headers


def head_of(server: Server, method: str, url: str, origin: str | None) -> tuple[int, dict[str, str]]:
    """Read the head only, because the body of a stream does not end."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    try:
        connection.request(method, url, headers={"Origin": origin} if origin else {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def cors_of(headers: dict[str, str]) -> set[str]:
    return {name for name in headers if name.startswith("access-control-")}


def test_every_preflight_of_an_allowed_page_is_answered_without_a_token(server: Server, rules: list[Rule]) -> None:
    for rule in rules:
        methods = methods_of(rules, rule)
        for method in methods - {"OPTIONS"}:
            status, headers = preflight(server, url_of(rule), method, PAGE)
            assert status == 204, rule
            assert headers["access-control-allow-origin"] == PAGE
            assert headers["access-control-allow-credentials"] == "true"
            assert set(headers["access-control-allow-methods"].split(", ")) == methods
            assert {"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"} == set(
                headers["access-control-allow-headers"].split(", ")
            )
            assert headers["access-control-max-age"] == "600"
            assert headers["vary"] == "Origin"


def test_no_preflight_of_another_page_is_allowed_anything(server: Server, rules: list[Rule]) -> None:
    for rule in rules:
        for origin in (FOREIGN, "null", f"http://127.0.0.1:{server.port}"):  # the last is its own, and needs none
            status, headers = preflight(server, url_of(rule), "GET", origin)
            assert (status, cors_of(headers), headers["vary"]) == (204, set(), "Origin"), rule


def test_every_answer_says_who_may_read_it_errors_too(server: Server, rules: list[Rule]) -> None:
    """Without a token nearly all of them are errors."""
    statuses = set()
    for rule in rules:
        for method in (rule.methods or set()) - {"OPTIONS"}:
            for origin, allowed in ((PAGE, PAGE), (FOREIGN, None), (None, None)):
                status, headers = head_of(server, method, url_of(rule), origin)
                statuses.add(status)
                assert headers.get("access-control-allow-origin") == allowed, (rule, method, status)
                assert "Origin" in headers["vary"], (rule, method, status)
    assert 401 in statuses


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/api/v1/events", b"{}", {}, 401),
        ("POST", "/api/v1/events", b"no json", BEARER, 400),
        ("GET", "/api/v1/nowhere", None, {}, 404),
        ("DELETE", "/api/v1/events", None, BEARER, 405),
        ("POST", "/api/v1/events", b" " * (5 << 20), BEARER, 413),
        ("GET", "/api/v1/boom", None, {}, 500),
        ("POST", "/api/v1/events", b'{"channel": "a", "data": 1}', BEARER, 201),
    ],
)
def test_an_answer_of_every_kind_can_be_read(
    server: Server, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    answer = server.request(method, path, body, {"Origin": PAGE} | headers)
    assert (answer[0], answer[1]["access-control-allow-origin"]) == (status, PAGE)
    assert "Retry-After" in answer[1]["access-control-expose-headers"]


def test_a_page_that_publishes_too_fast_can_read_when_to_try_again(tmp_path: Path) -> None:
    limits = {"publish_rate_per_address": 1, "constants": {BURST_SECONDS: 1}}
    with serve(tmp_path, allowed_origins=PAGE, **limits) as server:
        answers = [
            server.request("POST", "/api/v1/events", {"channel": "a", "data": 1}, {"Origin": PAGE} | BEARER)
            for _ in range(2)
        ]
    assert [status for status, _, _ in answers] == [201, 429]
    headers = answers[1][1]
    assert headers["access-control-allow-origin"] == PAGE
    assert int(headers["retry-after"]) >= 1


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_stream_carries_each_header_once(server: Server, accept: str) -> None:
    """The extension sets them, for apps without this service; it must not come out twice."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/api/v1/stream?channel=a", headers={"Origin": PAGE, "Accept": accept} | BEARER)
    response = connection.getresponse()
    assert response.status == 200
    fields = [name.lower() for name, _ in response.getheaders()]
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    for name in ("access-control-allow-origin", "access-control-allow-credentials", "vary"):
        assert fields.count(name) == 1, name
    connection.close()


def test_what_is_not_the_api_is_for_the_own_pages(server: Server) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
            assert not cors_of(server.request(method, path, headers=asked)[1]), path


def test_without_a_list_nothing_is_allowed(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert cors_of(preflight(server, "/api/v1/events", "POST", PAGE)[1]) == set()
        answer = server.request("POST", "/api/v1/events", {"channel": "a", "data": 1}, {"Origin": PAGE} | BEARER)
        assert (answer[0], cors_of(answer[1])) == (201, set())


def test_a_star_lets_any_page_read_but_with_no_cookie(tmp_path: Path) -> None:
    with serve(tmp_path, allowed_origins="*") as server:
        for _, headers in (
            preflight(server, "/api/v1/events", "POST", FOREIGN),
            server.request("GET", "/api/v1/nowhere", headers={"Origin": FOREIGN})[:2],
        ):
            assert headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in headers


def test_a_key_in_a_preflight_s_url_is_not_needed_and_not_told(server: Server) -> None:
    """A browser sends no token with a preflight; the answer shows nothing of what would be asked."""
    assert preflight(server, f"/api/v1/stream?channel=a&ticket={KEY}", "GET", PAGE)[0] == 204
    assert KEY not in server.log


def test_no_answer_is_taken_for_another_type_and_none_of_the_api_is_kept(server: Server, rules: list[Rule]) -> None:
    """sec, "Weak": tickets, history, who is there, and their errors."""
    pages = [("GET", path) for path in ("/", "/chat", "/healthz", "/static/parts.js", "/openapi.json", "/nowhere")]
    asked = [(method, url_of(rule)) for rule in rules for method in methods_of(rules, rule)] + pages
    for method, url in asked:
        status, headers = head_of(server, method, url, None)
        assert headers["x-content-type-options"] == "nosniff", (method, url, status)
        assert url.startswith("/api/v1/") <= ("no-store" in headers.get("cache-control", "")), (method, url, status)
    for method, url, status in (
        ("POST", "/api/v1/tickets", 201),
        ("GET", "/api/v1/channels/a/history", 200),
        ("GET", "/api/v1/channels/a/presence", 200),
        ("GET", "/api/v1/listeners", 200),
        ("GET", "/api/v1/wukongs", 200),
    ):
        answered, headers, _ = server.request(method, url, headers=BEARER)
        assert (answered, headers["cache-control"]) == (status, "no-store"), url


def test_a_stream_is_not_taken_for_a_script(server: Server) -> None:
    with SSEClient(server.port, "/api/v1/stream?channel=a", headers=BEARER) as client:
        assert client.headers["x-content-type-options"] == "nosniff"
        assert client.headers["cache-control"] == "no-cache, no-transform"
