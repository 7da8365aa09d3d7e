"""`flask simulcast doctor`: each planted fault is named, and nothing is named where all is sound. nginx, Redis and gunicorn are real.

All URLs are examined at the same time, because an examination mostly waits for a heartbeat.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from werkzeug.serving import make_server

from app.flask_simulcast import Settings
from app.flask_simulcast.brokers import connect, located
from app.flask_simulcast.doctor.answers import clock
from app.flask_simulcast.doctor.beside import Beside
from app.flask_simulcast.doctor.client import Target
from app.flask_simulcast.doctor.errors import BadInputError
from app.flask_simulcast.doctor.examination import examine, worker_findings
from app.flask_simulcast.doctor.faults import FAULTS
from app.flask_simulcast.doctor.finding import Finding
from app.flask_simulcast.doctor.living import patience
from app.flask_simulcast.doctor.visit import Visit
from app.flask_simulcast.doctor.websocket import frames
from app.flask_simulcast.transports.mirror import HEADER
from tests.tools.nginx import Nginx, serve_config
from tests.tools.redis_server import Redis, serve_redis
from tests.tools.relay import Relay
from tests.tools.serving import Server, free_port, serve

CONFIG = """
import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "gevent"
worker_connections = 4096
control_socket_disable = True

def on_starting(server):
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

def post_worker_init(worker):
    from app.flask_simulcast.gunicorn import post_worker_init
    post_worker_init(worker)

def worker_int(worker):
    from app.flask_simulcast.gunicorn import worker_int
    worker_int(worker)
"""
# A location as docs/operations.md has it. A planted fault replaces one of its lines.
LOCATION = """
    location /NAME/ {
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_pass http://app/main/;
    }
"""
SERVERS = """
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    charset_map koi8-r utf-8 { 80 E282AC; }
    proxy_cache_path FOLDER/cache keys_zone=kept:1m;
    upstream app { server 127.0.0.1:APP; }
    upstream app_by_socket { server unix:FOLDER/app.sock; }
    upstream away { server unix:FOLDER/nothing.sock; }
    upstream two_logs { server unix:FOLDER/one.sock; server unix:FOLDER/two.sock; }
    upstream one_log { server unix:FOLDER/one.sock; server unix:FOLDER/three.sock; }
    server { listen unix:FOLDER/one.sock; location / { proxy_pass http://app/main/; INNER } }
    server { listen unix:FOLDER/two.sock; location / { proxy_pass http://app/other/; INNER } }
    server { listen unix:FOLDER/three.sock; location / { proxy_pass http://127.0.0.1:SECOND/main/; INNER } }
    server { listen 127.0.0.1:PORT; LOCATIONS location /defaults/ { DEFAULTS } }
    server {
        listen 127.0.0.1:TLS ssl http2;
        ssl_certificate FOLDER/tls/simulcast.crt;
        ssl_certificate_key FOLDER/tls/simulcast.key;
        LOCATIONS
    }
"""
INNER = (
    "proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $http_host;"
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
)
# What is written into the location instead of one of its lines: (the line, its replacement).
PLANTED = {
    "compressed": ("proxy_buffering off;", "gzip on; gzip_types text/event-stream; gzip_proxied any;"),
    "http_1_0": ("proxy_http_version 1.1;", ""),
    "content_type": (
        "proxy_buffering off;",
        "proxy_hide_header Content-Type; add_header Content-Type text/plain;",
    ),
    "charset": (
        "proxy_buffering off;",
        "charset koi8-r; source_charset utf-8; override_charset on; charset_types text/event-stream;",
    ),
    "cached": (
        "proxy_buffering off;",
        "proxy_cache kept; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control;",
    ),
    "expires": ("proxy_buffering off;", "expires 1h;"),
    "resume_lost": ("proxy_buffering off;", 'proxy_set_header Last-Event-ID "";'),
    "query_lost": ("proxy_pass http://app/main/;", "rewrite /NAME/(.*) /main/$1? break; proxy_pass http://app;"),
    "cookie_lost": ("proxy_buffering off;", 'proxy_set_header Cookie "";'),
    "set_cookie_lost": ("proxy_buffering off;", "proxy_hide_header Set-Cookie;"),
    "host_lost": ("proxy_set_header Host $http_host;", ""),
    "scheme_lost": ("proxy_set_header X-Forwarded-Proto $scheme;", ""),
    "address_lost": ("http://app/main/", "http://app/bare/"),
    "upgrade_lost": ("proxy_set_header Upgrade $http_upgrade;", ""),
    "other_log": ("http://app/main/", "http://two_logs/"),
    "leaving": ("proxy_pass http://app/main/;", "proxy_ignore_client_abort on; proxy_pass http://app/slow/;"),
    "cut": ("proxy_pass http://app/main/;", "proxy_pass http://app/slow/; proxy_read_timeout 1s;"),
    "away": ("http://app/main/", "http://away/"),
}
OVER_TLS = {"scheme_lost"}
OF_SLOW = {"leaving", "cut", "slow heartbeat"}
# With its defaults nginx collects a stream, if it does not listen to the app.
DEFAULTS = "proxy_ignore_headers X-Accel-Buffering; proxy_set_header Host $http_host; proxy_pass http://app/bare/;"
# Locations without a fault: (a line, its replacement).
HARMLESS = {
    "plain": ("", ""),
    "buffering by default": ("proxy_buffering off;", ""),
    "two servers": ("http://app/main/", "http://one_log/"),
    "gzip of pages": ("proxy_buffering off;", "gzip on; gzip_types application/json; gzip_proxied any;"),
    "own cookie": ("proxy_buffering off;", "add_header Set-Cookie balancer=a1;"),
    "redis": ("http://app/main/", "http://app/redis/"),
    "slow heartbeat": ("http://app/main/", "http://app/slow/"),
}


class Case(NamedTuple):
    """One URL, and the log that the doctor has."""

    url: str
    settings: Settings
    target: Mapping[str, Any] = MappingProxyType({})
    websocket: str = ""


class Place(NamedTuple):
    """All that runs."""

    folder: Path
    server: Server
    nginx: Nginx
    tls_port: int
    redis: Redis
    narrow: Server

    def url(self, name: str, path: str = "stream") -> str:
        name = name.replace(" ", "-")
        return f"http://localhost:{self.nginx.port}/{name}/{path}"

    def secure_url(self, name: str) -> str:
        return self.url(name).replace(f"http://localhost:{self.nginx.port}", f"https://localhost:{self.tls_port}")

    def settings(self, log: str = "main", **others: Any) -> Settings:
        url = self.redis.url if log == "redis" else f"sqlite:///{log}.db"
        return located(Settings(broker_url=url, **others), str(self.folder / "logs"))


def location(name: str, line: str, replacement: str) -> str:
    assert line in LOCATION
    return LOCATION.replace(line, replacement).replace("NAME", name.replace(" ", "-"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("doctor")
    config = folder / "conf.py"
    config.write_text(CONFIG)
    tls_port = free_port()
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        redis = stack.enter_context(serve_redis(folder / "redis"))
        own: dict[str, Any] = {
            "app": "tests.apps.doctored:app",
            "DOCTORED_FOLDER": folder / "logs",
            "DOCTORED_REDIS": redis.url,
        }
        starting = [
            serve(folder / "a", workers=2, config=config, port=free_port(), **own),
            serve(folder / "b", config=config, port=free_port(), **own),
            serve(
                folder / "c",
                config=None,
                port=free_port(),
                GUNICORN_CMD_ARGS="--worker-connections 1",
                through=["prlimit", "--nofile=1024:1024"],
                **own,
            ),
        ]
        with ThreadPoolExecutor() as pool:
            server, second, narrow = pool.map(stack.enter_context, starting)
        text = SERVERS.replace(
            "LOCATIONS", "".join(location(name, *change) for name, change in (PLANTED | HARMLESS).items())
        )
        values = {
            "FOLDER": folder / "nginx",
            "APP": server.port,
            "SECOND": second.port,
            "TLS": tls_port,
            "INNER": INNER,
            "DEFAULTS": DEFAULTS,
        }
        for name, value in values.items():
            text = text.replace(name, str(value))
        nginx = stack.enter_context(serve_config(folder / "nginx", text))
        for name in ("main", "other", "slow", "redis"):  # the first stream makes the log
            assert server.request("GET", f"/{name}/stream", headers={"Last-Event-ID": "end"})[0] == 204
        yield Place(folder, server, nginx, tls_port, redis, narrow)


def cases(place: Place) -> Iterator[tuple[str, Case]]:
    main = place.settings()
    ca = {"ca": str(place.nginx.certificate)}
    for name in PLANTED:
        url = place.secure_url(name) if name in OVER_TLS else place.url(name)
        yield name, Case(url, place.settings("slow" if name in OF_SLOW else "main"), ca)
    for name in HARMLESS:
        log = "redis" if name == "redis" else "slow" if name in OF_SLOW else "main"
        yield name, Case(place.url(name), place.settings(log))
    yield "defaults", Case(place.url("defaults"), main, {"seconds": 2.0})
    yield "narrow", Case(f"http://127.0.0.1:{place.narrow.port}/main/stream", main, {"seconds": 1.0})
    yield "direct", Case(f"http://127.0.0.1:{place.server.port}/main/stream", main)
    yield "direct redis", Case(f"http://127.0.0.1:{place.server.port}/redis/stream", place.settings("redis"))
    yield "tls", Case(place.secure_url("plain"), main, ca)
    yield "url alone", Case(place.url("plain"), Settings(broker_url="memory://"))
    yield "websocket", Case(place.url("plain"), main, websocket=place.url("plain", "echo"))
    yield "token", Case(place.url("plain", "private"), main, {"headers": {"Authorization": "Bearer open"}})
    yield "websocket over 1.0", Case(place.url("plain"), main, websocket=place.url("http_1_0", "echo"))
    yield "websocket lost", Case(place.url("plain"), main, websocket=place.url("upgrade_lost", "echo"))


SOUND = [*HARMLESS, "direct", "direct redis", "tls", "url alone", "websocket", "token"]
Found = Callable[[str], list[Finding]]


@pytest.fixture(scope="module")
def found(place: Place) -> Iterator[Found]:
    def examined(case: Case) -> list[Finding]:
        visit = Visit(Target(case.url, **case.target))
        return findings_of(case.settings, None, visit, case.websocket)

    with ThreadPoolExecutor(12) as pool:
        futures: dict[str, Future[list[Finding]]] = {name: pool.submit(examined, case) for name, case in cases(place)}
        yield lambda name: futures[name].result(30)


def findings_of(settings: Settings, arguments: list[str] | None, *others: Any) -> list[Finding]:
    return list(examine(settings, arguments, *others))


def faults(findings: list[Finding]) -> list[str]:
    return [finding.fault for finding in findings if finding.fault]


def shown(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.verdict.value} {finding.check}: {finding.told}" for finding in findings)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_named_and_no_other(found: Found, name: str) -> None:
    assert faults(found(name)) == [name], shown(found(name))


MORE = {
    "defaults": ["address_lost", "buffered", "http_1_0", "upgrade_lost"],
    "websocket over 1.0": ["http_1_0"],
    "websocket lost": ["upgrade_lost"],
    "narrow": ["one_at_a_time"],
}


@pytest.mark.parametrize("name", MORE)
def test_several_faults_of_one_url_are_named(found: Found, name: str) -> None:
    assert sorted(faults(found(name))) == MORE[name], shown(found(name))


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_named_where_all_is_sound(found: Found, name: str) -> None:
    assert faults(found(name)) == [], shown(found(name))


def test_worker_without_hooks_and_with_few_files_is_named(place: Place, found: Found) -> None:
    found("narrow")  # which takes the only connection meanwhile
    broker = connect(place.settings())
    visit = Visit(Target(f"http://127.0.0.1:{place.narrow.port}/main/stream"), Beside(broker))
    try:
        visit.look_into_mirror()
    finally:
        visit.close()
        broker.close()
    assert faults(list(worker_findings(visit))) == ["hooks", "descriptors"]


def test_mirror_tells_nothing_without_a_key_of_the_log(place: Place) -> None:
    for headers in ({HEADER: "guess"}, {HEADER: ""}):
        answer = Target(place.url("plain")).open(headers=headers)
        assert answer.media_type == "text/event-stream"
        answer.close()


@pytest.mark.parametrize(("threaded", "named"), [(True, []), (False, ["failing"])])
def test_server_of_flask_run(place: Place, monkeypatch: pytest.MonkeyPatch, threaded: bool, named: list[str]) -> None:
    """With threads it holds streams; without, its first stream would be its last answer, so the app refuses it."""
    monkeypatch.setenv("DOCTORED_FOLDER", str(place.folder / "logs"))
    from tests.apps.doctored import make_app

    app = make_app("main")
    server = make_server("127.0.0.1", 0, app, threaded=threaded)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        visit = Visit(Target(f"http://127.0.0.1:{server.server_port}/stream"))
        findings = findings_of(place.settings(), None, visit)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["simulcast"].close()
    assert faults(findings) == named, shown(findings)
    assert "is not patched" in shown(findings)


def answering(answer: bytes) -> contextlib.AbstractContextManager[int]:
    """A server that answers every request with these bytes, and then says nothing; its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)
            self.rfile.read()  # until the client leaves

    @contextlib.contextmanager
    def serving() -> Iterator[int]:
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield server.server_address[1]
            finally:
                server.shutdown()
                thread.join()

    return serving()


def test_websocket_without_frames_is_named() -> None:
    with answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n") as port:
        url = f"http://127.0.0.1:{port}/echo"
        assert frames(Target(url, seconds=0.2), url).fault == "websocket"


def test_server_with_another_time_is_named() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
    )
    with answering(head + b'\r\nevent: connected\ndata: {"listener":"1"}\nid: 1\n\n') as port:
        visit = Visit(Target(f"http://127.0.0.1:{port}/stream"))
        visit.begin()
        assert visit.answer is not None
        assert clock(visit, visit.answer).fault == "client_clock"
        visit.close()


def test_patience_finds_what_cuts_a_stream_after_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer that ends each connection after a time, whatever passes. 65 s are 6 here."""
    monkeypatch.setattr("app.flask_simulcast.doctor.living._PATIENT_SECONDS", 6.0)

    def examined(*, is_patient: bool) -> list[str]:
        with Relay(place.server.port) as relay:
            visit = Visit(Target(f"http://127.0.0.1:{relay.port}/main/stream"), is_patient=is_patient)
            timer = threading.Timer(4, relay.block)
            timer.start()
            visit.begin()
            finding = patience(visit)
            visit.close()
            timer.cancel()
        return faults([finding])

    assert examined(is_patient=False) == []
    assert examined(is_patient=True) == ["cut"]


def test_every_fault_of_the_table_is_planted() -> None:
    planted = "".join(path.read_text() for path in Path(__file__).parent.glob("test_doctor*.py"))
    assert [name for name in FAULTS if f'"{name}"' not in planted] == []


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`flask simulcast doctor`, in this process."""
    monkeypatch.setenv("DOCTORED_FOLDER", str(place.folder / "logs"))
    from tests.apps.doctored import make_app

    runner = make_app("main").test_cli_runner()

    def run(*arguments: str) -> tuple[int, str, str]:
        result = runner.invoke(args=["simulcast", "doctor", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def test_command_ends_with_0_where_all_is_sound(run: Run, place: Place) -> None:
    url = place.url("plain", "private")
    code, out, err = run(url, "--token", "open", "--gunicorn", f"-c {place.folder}/conf.py")
    assert (code, err) == (0, ""), out
    assert out.splitlines()[-1].startswith("No faults, ")
    assert "not looked at" not in out


def test_command_ends_with_1_and_names_both_lines(run: Run, place: Place) -> None:
    code, out, _ = run(place.url("resume_lost", "private"), "--header", "Authorization: Bearer open")
    assert code == 1
    assert 'wrong:  proxy_set_header Last-Event-ID ""' in out
    assert "right:  proxy_set_header Last-Event-ID $http_last_event_id;" in out


def test_findings_as_json_have_the_same(run: Run) -> None:
    code, out, _ = run("--json", "--gunicorn", "-k sync")
    assert code == 1
    told = json.loads(out)
    named = [row["fault"] for row in told["findings"] if row["verdict"] == "fault"]
    assert len(named) == told["faults"]
    assert "worker_class" in named


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("page", "is an HTML page"),
        ("json", "answers application/json"),
        ("round", "redirects more than 5 times"),
        ("nothing", "answers 404"),
        ("private", "does not know this client (401)"),
        ("foreign", "is not one of simulcast.sse()"),
    ],
)
def test_url_without_a_stream_is_bad_input(run: Run, place: Place, path: str, says: str) -> None:
    assert_refused(run(place.url("plain", path)), says)


@pytest.mark.parametrize(
    "url",
    [
        *("orders", "ftp://live.example/", "http://", "http://[::1", "http://a b/", "http://h:x/", ""),
        *("http://a..b/", f"http://{'a' * 64}.example/"),
    ],
)
def test_text_that_is_no_url_is_bad_input(run: Run, url: str) -> None:
    assert_refused(run(url), "is no URL of a stream")


def test_server_that_can_not_be_reached_is_bad_input(run: Run, place: Place) -> None:
    assert_refused(run(f"http://127.0.0.1:{free_port()}/stream"), "can't be reached: Connection refused")
    assert_refused(run("http://nowhere.invalid/stream"), "can't be reached")
    assert_refused(run("http://[fe80::abcd]/stream"), "fe80::abcd can't be reached")  # its end is no port
    assert_refused(run(place.secure_url("plain")), "TLS with localhost fails: self-signed certificate")
    assert_refused(run(place.url("plain").replace("http:", "https:")), "TLS with localhost fails")
    assert_refused(run(place.secure_url("plain").replace("https:", "http:")), "answers 400")
    assert_refused(run(place.secure_url("plain"), "--ca", "/nothing"), "--ca /nothing can't be read")
    assert_refused(run(f"http://127.0.0.1:{place.redis.port}/stream"), "gives no HTTP answer")


@pytest.mark.parametrize("data", [b"ok", b"7", b"{}"])
def test_stream_with_a_connected_of_another_kind_is_bad_input(data: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with answering(head + b"event: connected\ndata: " + data + b"\n\n") as port:
        visit = Visit(Target(f"http://127.0.0.1:{port}/stream"))
        with pytest.raises(BadInputError, match="is not one of"):
            visit.begin()
        visit.close()


def test_what_a_server_sends_steers_no_terminal(run: Run) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/\x1b[31m\r\nContent-Length: 2\r\n\r\n{}"
    with answering(head) as port:
        assert_refused(run(f"http://127.0.0.1:{port}/stream"), r"answers application/\x1b[31m, not an event stream")


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n"])
def test_url_of_something_else_than_a_websocket_is_bad_input(answer: bytes) -> None:
    with answering(answer) as port:
        url = f"http://127.0.0.1:{port}/ws"
        with pytest.raises(BadInputError, match="gives no HTTP answer"):
            frames(Target(url), url)


def test_server_that_says_nothing_is_bad_input() -> None:
    with answering(b"") as port:
        visit = Visit(Target(f"http://127.0.0.1:{port}/stream", seconds=0.2))
        with pytest.raises(BadInputError, match=r"answers nothing within 0\.2 s"):
            visit.begin()


@pytest.mark.parametrize(
    ("body", "read"), [(gzip.compress(b'{"pid": 1}'), b'{"pid": 1}'), (b"no gzip", b"")], ids=["whole", "broken"]
)
def test_answer_that_a_proxy_has_compressed_can_be_read(body: bytes, read: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(head + body) as port:
        answer = Target(f"http://127.0.0.1:{port}/stream").open()
        assert answer.body() == read
        answer.close()


def test_redirect_without_encryption_is_not_followed_with_the_token() -> None:
    target = Target("https://live.example/stream", {"Authorization": "Bearer t"})
    with pytest.raises(BadInputError, match="from https to http"):
        target._go_to("http://live.example/stream")


def test_redirect_to_another_host_is_not_followed_with_the_token(run: Run) -> None:
    with answering(
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/stream\r\nContent-Length: 0\r\n\r\n"
    ) as port:
        assert_refused(run(f"http://127.0.0.1:{port}/stream", "--token", "t"), "redirects to another host")


def test_no_secret_stands_in_a_message(run: Run, place: Place) -> None:
    for arguments in (
        (place.url("plain", "page"), "--ticket", "secret"),
        (place.url("plain"), "--token", "secret\n"),
        (place.url("plain"), "--header", "secret"),
        ("http://x:y/?ticket=secret",),
    ):
        code, out, err = run(*arguments)
        assert code == 2
        assert "secret" not in out + err, err


def test_options_that_can_not_be_read_are_bad_input(run: Run, place: Place) -> None:
    url = place.url("plain")
    assert_refused(run(url, "--header", "Authorization"), "is no header")
    assert_refused(run("--gunicorn", "-c 'x"), "a quote that does not end")
    assert_refused(run("--gunicorn", "-c /nothing.py"), "'/nothing.py' doesn't exist")
    assert_refused(run("--gunicorn", "--nothing"), "unrecognized arguments: --nothing")
    assert_refused(run(url, "--websocket", "orders"), "is no URL")


def assert_refused(result: tuple[int, str, str], says: str) -> None:
    code, out, err = result
    assert (code, out) == (2, ""), result
    assert says in err, err
    assert len(err.splitlines()) == 1, err
