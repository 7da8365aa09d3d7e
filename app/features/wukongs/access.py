"""Access: what a client needs to watch a wukong, to command it, or to report as it."""

from __future__ import annotations

from collections.abc import Mapping

from ... import channels
from ...flask_simulcast import Grant
from ...identity.rights import Both, Listen, Publish, Subscribe
from ...web.errors import ApiError
from . import machine, service


def _known(name: str) -> str:
    """Return the full name of a wukong, if this can be the name of one."""
    if not service.is_name(name):
        raise service.no_such(name)
    return machine.canonical(name)


class _Report(Publish):
    """To report as a wukong. This machine reports its own wukongs itself."""

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
#: Of an agent: to get the commands for its wukong.
OBEY = Both(REPORT, Subscribe(f"{channels.AGENT}<name>", name=machine.canonical))
