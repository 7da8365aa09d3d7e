"""The services that the gRPC project has defined, in a pool of their own: a program that has its packages for them, too, has these
names in the usual pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles

from .. import proto

_FILE = Path(proto.__path__[0], "grpc.binpb")
_REFLECTION = "grpc.reflection.v1"

POOL = DescriptorPool()


def _load() -> dict[str, Any]:
    names = []
    for file in FileDescriptorSet.FromString(_FILE.read_bytes()).file:
        for each in (file, *([_older(file)] if file.package == _REFLECTION else [])):
            POOL.Add(each)
            names.append(each.name)
    found: dict[str, Any] = GetMessageClassesForFiles(names, POOL)
    return found


def _older(file: FileDescriptorProto) -> FileDescriptorProto:
    """Return the file of v1alpha, which differs in its names alone."""
    text = json_format.MessageToJson(file).replace(_REFLECTION, f"{_REFLECTION}alpha")
    return json_format.Parse(text.replace(file.name, f"v1alpha/{file.name}"), FileDescriptorProto())


#: The classes of all messages, by their full names.
MESSAGES = _load()
