"""Keepalive: when the kernel gives up a TCP client that does not answer. Pure: the numbers follow from each other and from the
heartbeat, and are all computed here.

What Linux does with them (tcp(7); ``tcp_keepalive_timer`` and ``tcp_write_timeout`` of the kernel):

- Nothing is on its way to the client, and nothing came from it for ``idle_seconds``: the kernel sends a probe, and another one
  each ``interval_seconds`` until one is answered. With a user timeout the number of probes decides nothing: the connection ends
  with the first interval at which the client has been silent for the user timeout, if a probe is unanswered.
- Something is on its way (a heartbeat is enough): the kernel sends it again and again, and no probes. The connection ends when
  it was not acknowledged for the user timeout.

So the probes must fit between the idle time and the user timeout, several of them, or one lost packet ends a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A client that vanished is gone within the heartbeat and this. A shorter time would cut clients in a tunnel.
PATIENCE_SECONDS = 20

# So many in a row must be lost to end a connection: with 30 % of all packets lost that befalls one question in 800, with 10 %
# one in 16 million. Probes are repeated only while they are not answered, so a higher number costs the others nothing.
_PROBES = 10


@dataclass(frozen=True)
class Keepalive:
    """Options of a TCP socket.

    Attributes:
        idle_seconds: Nothing came for so long: ask.
        interval_seconds: Not answered for so long: ask again.
        probes: Questions without an answer, for systems that know no user timeout.
        user_timeout_seconds: Silent for so long although asked, or although something was sent: gone.

    Raises:
        ValueError: One lost probe would end a connection, or none would ever be sent.
    """

    idle_seconds: int
    interval_seconds: int
    probes: int
    user_timeout_seconds: int

    def __post_init__(self) -> None:
        last_probe = self.idle_seconds + (self.probes - 1) * self.interval_seconds
        if not (self.probes > 1 and self.interval_seconds > 0 < self.idle_seconds):
            raise ValueError(f"{self} sends too few probes. Use several, at least a second apart.")
        if not last_probe < self.user_timeout_seconds <= last_probe + self.interval_seconds:
            raise ValueError(
                f"{self} sends its last probe after {last_probe} s. Use a user timeout of up to an interval more than that."
            )

    @property
    def options(self) -> dict[str, int]:
        """By the names that the module ``socket`` has for them."""
        return {
            "TCP_KEEPIDLE": self.idle_seconds,
            "TCP_KEEPINTVL": self.interval_seconds,
            "TCP_KEEPCNT": self.probes,
            "TCP_USER_TIMEOUT": self.user_timeout_seconds * 1000,
        }

    def gone_after_seconds(self, heartbeat_seconds: float) -> float:
        """The longest time that a client which vanished keeps its place.

        It vanishes right after it has acknowledged something. The worst that can happen then is that something is sent just
        before the probes would have ended it, at the latest a heartbeat: then the user timeout begins anew.
        """
        return min(heartbeat_seconds, self.user_timeout_seconds) + self.user_timeout_seconds


def keepalive_for(heartbeat_seconds: float) -> Keepalive:
    """Options with which a vanished client is gone within the heartbeat and `PATIENCE_SECONDS`.

    A long heartbeat was chosen to have little on the wire: then the kernel asks less often, too.

    Args:
        heartbeat_seconds: After which an idle listener is sent something; of several apps, the shortest.
    """
    # No longer than both allow: see gone_after_seconds.
    user_timeout = max(PATIENCE_SECONDS, int((heartbeat_seconds + PATIENCE_SECONDS) / 2))
    interval = max(1, user_timeout // (2 * _PROBES))  # from half of the user timeout on
    return Keepalive(
        idle_seconds=user_timeout - _PROBES * interval,
        interval_seconds=interval,
        probes=_PROBES,
        user_timeout_seconds=user_timeout,
    )
