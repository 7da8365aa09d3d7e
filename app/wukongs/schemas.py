"""What a wukong looks like from outside, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

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
    state: Annotated[str, Meta(extra_json_schema={"enum": ["online", "offline"]})]
    time: Annotated[int, Meta(description="Unix time in ms at which it said so.")]
    data: Annotated[dict[str, Any], Meta(description="What it says of itself.")]


class Wukongs(Struct):
    """All of them, written row by row."""

    wukongs: list[Status]
