"""A request as a page shows it, on a plain socket."""

from __future__ import annotations

import socket


def send(port: int, text: str, until: bytes = b"") -> tuple[str, bytes]:
    """Send the request that a block shows, and read the head and the body of the answer.

    Host, Connection and Content-Length are added, as every client adds them.

    Args:
        text: Request line and fields, and after an empty line the body.
        until: Read until this has come instead of to the end; more may have come with it.
    """
    head, _, body = text.partition("\n\n")
    first, *fields = head.strip().split("\n")
    content = body.strip().encode()
    fields += [f"Host: 127.0.0.1:{port}"]
    if content:
        fields += ["Connection: close", f"Content-Length: {len(content)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall("\r\n".join([first, *fields, "", ""]).encode() + content)
        answer = b""
        while not until or until not in answer:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
    answer_head, _, answer_body = answer.partition(b"\r\n\r\n")
    return answer_head.decode(), answer_body
