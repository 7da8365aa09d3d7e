"""Model server: speaks OpenAI's protocol, 50 tokens a second for each answer. Each token is the time at which it was sent.

``python -m benchmarks.model_server`` prints its port.
"""

from __future__ import annotations

import asyncio
import json
import time

TOKENS_PER_SECOND = 50
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one question with as many tokens as its ``max_tokens`` says."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split()[0])
    tokens = json.loads(await reader.readexactly(size))["max_tokens"]
    writer.write(_HEAD)
    due = time.monotonic()
    for _ in range(tokens):
        due += 1 / TOKENS_PER_SECOND
        await asyncio.sleep(due - time.monotonic())
        writer.write(_chunk(str(time.monotonic_ns())))
        await writer.drain()
    writer.write(_chunk("", "stop") + _USAGE + b"data: [DONE]\n\n")
    writer.close()


def _chunk(content: str, finish_reason: str | None = None) -> bytes:
    """Write a chunk as the servers of models do, with all its fields."""
    choice = {"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish_reason}
    chunk = {
        "id": "chatcmpl-123456789012345678901234",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "bench",
        "system_fingerprint": "fp_1234567890",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
