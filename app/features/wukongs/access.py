"""Access: the rights to watch a wukong, to command it, and to report for it."""

from __future__ import annotations

from collections.abc import Mapping

from ... import channels
from ...flask_simulcast import Grant
from ...identity.rights import Both, Listen, Publish, Subscribe
from ...web.errors import ApiError
from . import machine, service


def _known(name: str) -> str:
    """Return the full name of a wukong, or refuse an invalid name."""
    if not service.is_name(name):
        raise service.no_such(name)
    return machine.canonical(name)


class _Report(Publish):
    """The right to report for a wukong that is not built in."""

    def require(self, path: Mapping[str, str]) -> Grant:
        grant, name = super().require(path), path["name"]
        if not service.is_name(name):
            raise ApiError(
                400, "wukong_name", f"{name[:64]!a} is not a name. Use 1 to 64 characters of A-Z a-z 0-9 . _ -"
            )
        if service.is_built_in(name):
            raise ApiError(409, "built_in", f"{name} is reported by this machine itself. Choose another name.")
        return grant


LIST = Subscribe("wukong:any")
READ = Subscribe("wukong:<name>", name=_known)
WATCH = Listen("wukong:<name>", name=_known)
COMMAND = Publish(f"{channels.AGENT}<name>", name=_known)
REPORT = _Report("wukong:<name>", name=machine.canonical)
#: The right of an agent to receive the commands of its wukong.
OBEY = Both(REPORT, Subscribe(f"{channels.AGENT}<name>", name=machine.canonical))
