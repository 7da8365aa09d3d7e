"""What a wukong looks like from outside, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from .command_set import COMMANDS

MAX_WAIT_SECONDS = 30
_MAX_REPORT_SECONDS = 3600

Name = Annotated[
    str,
    Meta(
        description="1-64 characters of `A-Z a-z 0-9 . _ -`; `host` is this machine.",
        extra_json_schema={"pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
]
Report = Annotated[dict[str, Any], Meta(examples=[{"cpu_percent": 12.5}])]


class Status(Struct):
    """How a wukong is."""

    name: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["host", "worker", "agent"]})]
    state: Annotated[
        str,
        Meta(
            description="`removed` stands in the last status of a stream alone.",
            extra_json_schema={"enum": ["online", "offline", "removed"]},
        ),
    ]
    time: Annotated[int, Meta(description="Unix time in ms at which it said so.")]
    data: Annotated[dict[str, Any], Meta(description="What it says of itself.")]


class Wukongs(Struct):
    """All of them, written row by row."""

    wukongs: list[Status]


class ReportQuery(Struct):
    """How it reports."""

    interval: Annotated[
        float,
        Meta(
            ge=0,
            le=_MAX_REPORT_SECONDS,
            description="Seconds after which it will report again: three of them must pass in silence before it is offline.",
        ),
    ] = 0


class CommandRequest(Struct, forbid_unknown_fields=True):
    """A command, and what it takes; docs/wukongs.md lists them."""

    command: Annotated[str, Meta(extra_json_schema={"enum": list(COMMANDS)})]
    args: Annotated[dict[str, Any], Meta(examples=[{}])] = {}


class CommandQuery(Struct):
    """Whether to wait for the answer."""

    wait: Annotated[
        float,
        Meta(
            ge=0,
            le=MAX_WAIT_SECONDS,
            description="Seconds to wait for the answer; 0 to be told the command's id alone, and find the answer in `wukong-replies.<name>`.",
        ),
    ] = 0


class SentCommand(Struct):
    """The command was sent."""

    id: str


class Answer(Struct, omit_defaults=True):
    """What a wukong has answered to a command."""

    id: str
    ok: Annotated[bool, Meta(description="Whether it was carried out.")]
    output: dict[str, Any] | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why not.")] | UnsetType = UNSET
