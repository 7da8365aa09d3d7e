"""Model: a small language model in a process of its own, which speaks OpenAI's protocol on loopback."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection

from . import child

# What one answer can see of its conversation, and how many answers are made at a time. The other questions wait.
_CONTEXT_TOKENS = 4096
_AT_ONCE = 2
# Of an answer. A small model sometimes finds no end.
_MOST_TOKENS = 1024
_SILENT = -1


def serve(pipe: Connection, path: str, name: str, key: str) -> None:
    """Serve a model as long as this process lives.

    Args:
        pipe: Gets the URL once the model can answer.
        path: File of its weights (GGUF).
        name: Its name in answers.
        key: What a request must have as its bearer token: other users of this machine can reach the port.
    """
    child.begin(pipe)
    import xllamacpp  # an extra; and its library is 100 MB, which only this process needs

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.api_keys = [key]
    params.n_ctx = _CONTEXT_TOKENS * _AT_ONCE
    params.n_parallel = _AT_ONCE
    params.n_predict = _MOST_TOKENS
    params.cache_ram_mib = 0
    params.endpoint_slots = params.ui = False
    params.verbosity = _SILENT
    server = xllamacpp.Server(params)
    pipe.send(server.listening_address)
    threading.Event().wait()
