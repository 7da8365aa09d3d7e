"""Keepalive: when the kernel gives up a TCP client that does not answer. Pure: all numbers are computed here, from each other
and from the heartbeat.

What Linux does with them (tcp(7); ``tcp_keepalive_timer`` and ``tcp_write_timeout`` of the kernel):

- If no data is in flight to the client, and nothing came from it for ``idle_seconds``, the kernel sends a probe, and another
  one every ``interval_seconds`` until one is answered. With a user timeout the number of probes has no effect: if a probe is
  unanswered, the connection ends at the first interval at which the client has been silent for the user timeout.
- If data is in flight (a heartbeat is enough), the kernel sends it again and again, and sends no probes. The connection ends
  when the data was not acknowledged within the user timeout.

So several probes must fit between the idle time and the user timeout. Otherwise one lost packet ends a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A vanished client is gone within the heartbeat plus this time. A shorter time would cut off clients in a tunnel.
PATIENCE_SECONDS = 20

# A connection ends only if this many probes in a row are lost: with 30 % of all packets lost that happens once in 800 checks,
# with 10 % once in 16 million. A probe is repeated only if it is not answered, so a higher number costs other clients nothing.
_PROBES = 10


@dataclass(frozen=True)
class Keepalive:
    """Options of a TCP socket.

    Attributes:
        idle_seconds: Seconds without data from the client, after which the kernel sends the first probe.
        interval_seconds: Seconds after which an unanswered probe is repeated.
        probes: Unanswered probes after which the connection ends, on systems without a user timeout.
        user_timeout_seconds: Seconds of silence after which the connection ends, if a probe or data is unacknowledged.

    Raises:
        ValueError: One lost probe would end a connection, or no probe would ever be sent.
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
        """The values, by their names in the module ``socket``."""
        return {
            "TCP_KEEPIDLE": self.idle_seconds,
            "TCP_KEEPINTVL": self.interval_seconds,
            "TCP_KEEPCNT": self.probes,
            "TCP_USER_TIMEOUT": self.user_timeout_seconds * 1000,
        }

    def gone_after_seconds(self, heartbeat_seconds: float) -> float:
        """Return the longest time for which a vanished client keeps its place.

        In the worst case the client vanishes right after it acknowledged data, and new data (at the latest a heartbeat) is
        sent just before the probes would have ended the connection: then the user timeout starts again.
        """
        return min(heartbeat_seconds, self.user_timeout_seconds) + self.user_timeout_seconds


def keepalive_for(heartbeat_seconds: float) -> Keepalive:
    """Return options with which a vanished client is gone within the heartbeat plus `PATIENCE_SECONDS`.

    With a long heartbeat the kernel probes less often, too: an app chooses one to have little traffic.

    Args:
        heartbeat_seconds: Seconds after which an idle listener is sent a heartbeat; the shortest of several apps.
    """
    # The longest for which gone_after_seconds stays within the heartbeat plus PATIENCE_SECONDS.
    user_timeout = max(PATIENCE_SECONDS, int((heartbeat_seconds + PATIENCE_SECONDS) / 2))
    interval = max(1, user_timeout // (2 * _PROBES))  # the probes fill the second half of the user timeout
    return Keepalive(
        idle_seconds=user_timeout - _PROBES * interval,
        interval_seconds=interval,
        probes=_PROBES,
        user_timeout_seconds=user_timeout,
    )
