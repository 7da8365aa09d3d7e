"""Answers to calls: one message, or the code with which a call failed."""

from __future__ import annotations

from flask import Response, jsonify
from google.protobuf.message import Message

from ...encoding.rpc.codes import CallError
from ...encoding.rpc.dialect import Dialect, error_json


def replied(dialect: Dialect, message: Message) -> Response:
    """Return the response with the only message of the server."""
    if dialect.protocol.end is None:
        return Response(dialect.codec.encode(message), content_type=dialect.content_type)
    end = dialect.end()
    if dialect.has_trailers:  # each in a chunk of its own
        return Response(iter((dialect.frame(message), end)), content_type=dialect.content_type)
    return Response(dialect.frame(message) + end, content_type=dialect.content_type)


def failed(dialect: Dialect, error: CallError) -> Response:
    """Return the response of a call that failed."""
    if dialect.protocol.end is not None:
        return Response(dialect.end(error), content_type=dialect.content_type)
    response = jsonify(error_json(error))
    response.status_code = error.code.status
    return response
