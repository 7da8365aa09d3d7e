"""The door of a StreamWorker reads requests as gunicorn's own parser does, or leaves them to it: mutated requests are sent to
both workers, and their answers compared. `CASES` and `SEED` choose how many and which ones."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.tools.serving import Server, free_port, serve, together

CASES = int(os.environ.get("CASES", "5000"))
SEED = os.environ.get("SEED", "door")
AT_ONCE = 8
GUNICORN = "python:app.flask_simulcast.gunicorn"
SECONDS = 20  # for one answer
#: gunicorn's C parser refuses a faulty request that is not complete only if its first read has the fault.
IS_IN_PIECES = importlib.util.find_spec("gunicorn_h1c") is None

LINES = [
    b"Accept: text/event-stream", b"Accept: */*", b"Connection: close", b"Connection: keep-alive", b"Connection: Keep-Alive",
    b"Connection: close, te", b"Connection: upgrade", b"Connection:", b"Content-Length: 0", b"Content-Length: 5",
    b"Content-Length: 05", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 5 5", b"Content-Length: -1",
    b"Content-Length: 0x5", b"Content-Length: 99999", b"Content-Length: 5;", b"Content-Length:\t5", b"content-length: 5",
    b"Content-Type: application/json", b"Content-Type: text/plain", b"Cookie: a=b", b"Cookie: c=d", b"Expect: 100-continue",
    b"Expect: 200-ok", b"Host: other", b"Host:", b"HOST: a:80", b"Last-Event-ID: 1-2-abcdef01", b"Origin: null", b"TE: trailers",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"transfer-encoding: gzip, chunked", b"Trailer: X", b"X-A: 1",
    b"Transfer-Encoding : chunked", b"Upgrade: h2c", b"Upgrade: websocket", b"HTTP2-Settings: AAMAAABkAAQ", b"X-A: \xe9", b"X-A: a\tb",
    b"X-A: \x00", b"X-A: \x7f", b"X_A: 1", b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http",
    b"X-Forwarded-Ssl: on", b"X-Forwarded-Ssl: off", b" folded", b"\tfolded", b"NoColon", b": empty", b"SCRIPT_NAME: /echo", b"Script-Name: /x",
    b"Content_Length: 5", b"X-Long: " + b"l" * 8000, b"X-Long: " + b"l" * 8190, b"Authorization: Bearer \x80", b"\xdf: 1", b"A B: 1",
]  # fmt: skip
FIRST = [
    b"GET /echo HTTP/1.0", b"GET /echo HTTP/1.1 ", b" GET /echo HTTP/1.1", b"GET  /echo HTTP/1.1", b"GET /echo  HTTP/1.1",
    b"get /echo HTTP/1.1", b"HEAD /echo HTTP/1.1", b"PUT /echo HTTP/1.1", b"OPTIONS * HTTP/1.1", b"OPTIONS /echo HTTP/1.1",
    b"GET //echo HTTP/1.1", b"GET /echo# HTTP/1.1", b"GET /echo?a=b#c HTTP/1.1", b"GET /%65cho HTTP/1.1", b"GET /echo; HTTP/1.1",
    b"GET http://a/echo HTTP/1.1", b"GET http:/echo HTTP/1.1", b"GET echo HTTP/1.1", b"GET /echo?a=%zz&b=[]| HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
    b"GET /echo HTTP/1.2", b"GET /echo HTTP/2.0", b"GET /echo HTTP/1.10", b"GET /echo http/1.1", b"GET /echo", b"PRI * HTTP/2.0",
    b"GET /echo?" + b"q" * 8170 + b" HTTP/1.1", b"GET /echo?\xe9 HTTP/1.1", b"GET /echo?a?b HTTP/1.1", b"GET /echo? HTTP/1.1", b"GE\tT /echo HTTP/1.1",
]  # fmt: skip
BODY = b"hello"


def plain(choose: random.Random) -> bytes:
    lines = [
        b"Host: a",
        *choose.sample([*LINES[:2], b"X-B: 1", b"X-Forwarded-Proto: https", b"User-Agent: x"], choose.randrange(3)),
    ]
    if choose.random() < 0.5:
        query = choose.choice([b"", b"?a=b", b"?a=b&a=%20+", b"?"])
        return b"\r\n".join([b"GET /echo" + query + b" HTTP/1.1", *lines, b"", b""])
    return b"\r\n".join([b"POST /echo HTTP/1.1", *lines, b"Content-Length: 5", b"", BODY])


def mutated(request: bytes, choose: random.Random) -> bytes:
    kind = choose.randrange(10)
    if kind < 5:  # one more field, or another request line, or a field less
        lines = request.split(b"\r\n")
        at = choose.randrange(1, max(len(lines) - 1, 2))
        if kind < 3:
            lines.insert(at, choose.choice(LINES))
        elif kind == 3:
            lines[0] = choose.choice(FIRST)
        else:
            del lines[at : at + 1]
        return b"\r\n".join(lines)
    at = choose.randrange(len(request) + 1)
    if kind == 5:
        return (
            request[:at]
            + bytes([choose.choice([0, 9, 10, 13, 32, 58, 95, 127, 200, choose.randrange(256)])])
            + request[at:]
        )
    if kind == 6:
        return request[:at] + request[at + 1 + choose.randrange(3) :]
    if kind == 7:
        return request[:at] + bytes([choose.randrange(256)]) + request[at + 1 :]
    if kind == 8:
        return request.replace(b"\r\n", choose.choice([b"\n", b"\r", b"\r\r\n", b"\r\n "]), choose.randrange(1, 4))
    return request[:at]


def case(choose: random.Random) -> tuple[bytes, int]:
    """What one connection says, and where it pauses."""
    said = b""
    for _ in range(choose.choice([1, 1, 1, 2, 3])):
        request = plain(choose)
        for _ in range(choose.choice([0, 1, 1, 1, 2, 3])):
            request = mutated(request, choose)
        said += request
    return said, choose.choice([len(said), choose.randrange(len(said) + 1)]) if IS_IN_PIECES else len(said)


def normal(answer: bytes) -> bytes:
    """Without what differs from moment to moment, and without what says who answered. gunicorn's own page of an error quotes the
    first fault that it meets, which depends on the bytes that it has read so far."""
    answer = re.sub(rb"(?s)Content-Length: \d+\r\n\r\n<html>.*?</html>\n", b"", answer)
    return re.sub(rb"(?m)^(?:Date|Hot): [^\r]*\r\n", b"", answer)


def ask(ports: list[int], cases: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Send each case to all servers, a few at a time; yield it with all that each has answered until its end."""
    with selectors.DefaultSelector() as selector:
        while True:
            asked = [one for _, one in zip(range(AT_ONCE), cases, strict=False)]
            if not asked:
                return
            answers: dict[tuple[int, int], bytes] = {}
            rests: list[tuple[socket.socket, bytes]] = []
            for number, (said, pause) in enumerate(asked):
                for port in ports:
                    sock = socket.create_connection(("127.0.0.1", port))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.sendall(said[:pause])
                    rests.append((sock, said[pause:]))
                    answers[number, port] = b""
                    selector.register(sock, selectors.EVENT_READ, (number, port))
            for sock, rest in rests:
                try:
                    sock.sendall(rest)
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it has closed already: it did not like the first part
            deadline = time.monotonic() + SECONDS
            while selector.get_map():
                assert time.monotonic() < deadline, [asked[key.data[0]] for key in selector.get_map().values()]
                for key, _ in selector.select(1):
                    try:
                        piece = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    except ConnectionResetError:
                        piece = b""
                    answers[key.data] += piece
                    if not piece:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
            for number, (said, _) in enumerate(asked):
                yield said, [answers[number, port] for port in ports]


def serving(folder: Path, kind: str) -> AbstractContextManager[Server]:
    port = free_port()
    arguments = f"-b 127.0.0.1:{port} -k {kind}"
    # With one seed of hashes for both, because an answer of Flask lists a set.
    return serve(
        folder, app="tests.apps.hot_echo:app", config=GUNICORN, port=port, GUNICORN_CMD_ARGS=arguments, PYTHONHASHSEED=0
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    kinds = ("gevent", "app.flask_simulcast.gunicorn.StreamWorker")
    with together(*(serving(tmp_path_factory.mktemp("fuzz"), kind) for kind in kinds)) as servers:
        yield servers


@pytest.mark.timeout(60 + CASES // 50)
def test_mutated_requests_are_taken_and_seen_and_answered_alike(both: list[Server]) -> None:
    choose = random.Random(SEED)
    counts: Counter[str] = Counter()
    for said, (expected, got) in ask([server.port for server in both], (case(choose) for _ in range(CASES))):
        assert normal(got) == normal(expected), f"{said!r}\n gunicorn: {expected!r}\n door: {got!r}"
        counts["hot"] += got.count(b"\r\nHot: yes")
        counts["cold"] += got.count(b"HTTP/1.1 ") - got.count(b"\r\nHot: yes")
        counts["refused"] += got.startswith(b"HTTP/1.1 4")
        counts["two"] += got.count(b"HTTP/1.1 ") > 1
    assert counts["hot"] > CASES / 5, counts
    assert min(counts["cold"], counts["refused"], counts["two"]) > CASES / 50, counts
    assert both[1].log.count("Traceback") == both[0].log.count("Traceback"), "those of the view"
