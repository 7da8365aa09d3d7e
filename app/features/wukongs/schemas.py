"""Requests and answers about wukongs, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from .command_set import COMMANDS

MAX_WAIT_SECONDS = 30
MAX_REPORT_SECONDS = 3600

Name = Annotated[
    str,
    Meta(
        description="1-64 characters of `A-Z a-z 0-9 . _ -`; `host` is this machine.",
        extra_json_schema={"pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
]
Report = Annotated[dict[str, Any], Meta(examples=[{"cpu_percent": 12.5}])]


class Status(Struct):
    """The status of a wukong."""

    name: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["host", "worker", "agent"]})]
    state: Annotated[
        str,
        Meta(
            description="`removed` is only in the last status of a stream.",
            extra_json_schema={"enum": ["online", "offline", "removed"]},
        ),
    ]
    time: Annotated[int, Meta(description="Unix time in ms at which it was reported.")]
    data: Annotated[dict[str, Any], Meta(description="The figures that the wukong reports.")]


class Wukongs(Struct):
    """All wukongs, written row by row."""

    wukongs: list[Status]


class ReportQuery(Struct):
    """How the agent reports."""

    interval: Annotated[
        float,
        Meta(
            ge=0,
            le=MAX_REPORT_SECONDS,
            description="Seconds until the next report. After three such intervals without a report it is offline.",
        ),
    ] = 0


class CommandRequest(Struct, forbid_unknown_fields=True):
    """A command and its arguments; docs/wukongs.md lists the commands."""

    command: Annotated[str, Meta(extra_json_schema={"enum": list(COMMANDS)})]
    args: Annotated[dict[str, Any], Meta(examples=[{}])] = {}


def _as_schema(command: str, args: type[Struct]) -> dict[str, Any]:
    """Return the schema of a request for this command."""
    _, components = msgspec.json.schema_components([args])
    (schema,) = components.values()
    properties = {"command": {"const": command}, "args": schema}
    return {
        "type": "object",
        "properties": properties,
        "required": ["command", *(["args"] if schema["required"] else [])],
    }


#: The same for the document, with the arguments of each command.
KnownCommand = Annotated[
    CommandRequest, Meta(extra_json_schema={"oneOf": [_as_schema(command, args) for command, args in COMMANDS.items()]})
]


class CommandQuery(Struct):
    """Whether to wait for the answer."""

    wait: Annotated[
        float,
        Meta(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="Seconds to wait for the answer. With 0 the answer has only the command's id; find the result in `wukong-replies.<name>`.",
        ),
    ] = 0


class SentCommand(Struct):
    """A command that was sent."""

    id: str


class Answer(Struct, omit_defaults=True):
    """The answer of a wukong to a command."""

    id: str
    ok: Annotated[bool, Meta(description="Whether the command was carried out.")]
    output: dict[str, Any] | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why not.")] | UnsetType = UNSET
