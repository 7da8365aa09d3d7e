"""Reflection: the schemas of the services, for tools that have none, such as ``grpcurl``. An operator allows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from flask import Response
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool

from ..encoding.rpc.codes import CallError, Code
from ..transports.rpc import MAX_QUESTION_BYTES, Call
from .of_grpc import MESSAGES, POOL
from .service import Service, duplex, services_here

#: The versions that tools ask for, the newest first.
VERSIONS = ("v1", "v1alpha")


class Reflection(Service):
    """The call of ``ServerReflection``.

    Args:
        version: One of `VERSIONS`.
    """

    def __init__(self, version: str) -> None:
        self._package = f"grpc.reflection.{version}"
        super().__init__(
            POOL.FindServiceByName(f"{self._package}.ServerReflection"), {"ServerReflectionInfo": self._info}
        )

    def _info(self, call: Call) -> Response:
        call.most_bytes = MAX_QUESTION_BYTES
        with duplex(call) as talk:
            talk.serve(self._message("ServerReflectionRequest"), lambda asked: talk.send(self._answer(asked)))
        return Response()

    def _message(self, name: str) -> Any:
        return MESSAGES[f"{self._package}.{name}"]

    def _answer(self, asked: Any) -> Any:
        answer = self._message("ServerReflectionResponse")(valid_host=asked.host, original_request=asked)
        try:
            self._fill(answer, asked, asked.WhichOneof("message_request"))
        except CallError as error:
            answer.error_response.error_code = error.code
            answer.error_response.error_message = str(error)
        return answer

    def _fill(self, answer: Any, asked: Any, what: str | None) -> None:
        """Put the answer to a question in its place.

        Raises:
            CallError: There is no such file or name, or the question is not known.
        """
        if what == "list_services":
            for service in services_here():
                answer.list_services_response.service.add(name=service.descriptor.full_name)
        elif what == "all_extension_numbers_of_type":  # no message here has extensions
            answer.all_extension_numbers_response.base_type_name = asked.all_extension_numbers_of_type
        elif what in ("file_by_filename", "file_containing_symbol"):
            files = _with_imports(_found(what, getattr(asked, what)))
            answer.file_descriptor_response.file_descriptor_proto.extend(file.serialized_pb for file in files)
        else:
            raise CallError(Code.NOT_FOUND, "There are no extensions here. Ask for a symbol or a file.")


def _found(what: str, name: str) -> FileDescriptor:
    for pool in (Default(), POOL):
        for find in (
            (pool.FindFileByName,) if what == "file_by_filename" else (pool.FindFileContainingSymbol, _of_method(pool))
        ):
            with suppress(KeyError):
                return find(name)
    raise CallError(Code.NOT_FOUND, f"There is no {name[:64]!a} here. List the services first.")


def _of_method(pool: DescriptorPool) -> Callable[[str], FileDescriptor]:
    """Return a function that finds the file of a method: to the pool, a method is no symbol."""
    return lambda name: pool.FindMethodByName(name).containing_service.file


def _with_imports(file: FileDescriptor) -> Iterator[FileDescriptor]:
    yield file
    for imported in file.dependencies:
        yield from _with_imports(imported)
