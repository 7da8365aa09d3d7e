"""Listeners: the listeners of this worker, indexed by id, user, ticket, run, address and channel; and the limits on their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..errors import ListenerLimitError, TooManyListenersError
from ..event import ALL, CONTROL, LISTENER_PREFIX, USER_PREFIX
from ..listener import Listener
from ..settings import Settings


class Listeners:
    """The listeners of this worker.

    Args:
        settings: The limits.

    Attributes:
        all: All listeners, in the order in which they were added.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.all: dict[Listener, None] = {}
        self._by_id: dict[str, Listener] = {}
        self._by_user: dict[str, dict[Listener, None]] = {}
        self._by_ticket: dict[str, dict[Listener, None]] = {}
        self._by_run: dict[str, dict[Listener, None]] = {}
        self._by_address: Counter[str] = Counter()
        self._by_channel: Counter[str] = Counter()

    def add(self, listener: Listener) -> None:
        """Add a listener to the indexes."""
        self.all[listener] = None
        self._by_id[listener.id] = listener
        if listener.grant.user:
            self._by_user.setdefault(listener.grant.user, {})[listener] = None
        if listener.grant.ticket:
            self._by_ticket.setdefault(listener.grant.ticket, {})[listener] = None
        if listener.run:
            self._by_run.setdefault(listener.run, {})[listener] = None
        if listener.address:
            self._by_address[listener.address] += 1
        for name in listener.channels:
            self._by_channel[name] += 1

    def remove(self, listener: Listener) -> None:
        """Remove a listener from the indexes."""
        del self.all[listener]
        del self._by_id[listener.id]
        _drop(self._by_user, listener.grant.user, listener)
        _drop(self._by_ticket, listener.grant.ticket, listener)
        _drop(self._by_run, listener.run, listener)
        for counter, names in ((self._by_address, (listener.address,)), (self._by_channel, listener.channels)):
            for name in filter(None, names):
                counter[name] -= 1
                if not counter[name]:
                    del counter[name]

    def find(self, id: str) -> Listener | None:
        """Return the listener with this id, or None."""
        return self._by_id.get(id)

    def of_user(self, user: str) -> Iterable[Listener]:
        """Return the listeners of one user."""
        return list(self._by_user.get(user, ()))

    def of_ticket(self, ticket: str) -> Iterable[Listener]:
        """Return the listeners that one ticket has let in."""
        return list(self._by_ticket.get(ticket, ()))

    def of_run(self, run: str) -> Iterable[Listener]:
        """Return the listeners of one run alone."""
        return list(self._by_run.get(run, ()))

    def of_channel(self, personal: str) -> Iterable[Listener]:
        """Return the listeners that an event on a personal channel is for, without those that named the channel themselves."""
        if personal.startswith(LISTENER_PREFIX):
            one = self._by_id.get(personal.removeprefix(LISTENER_PREFIX))
            found: Iterable[Listener] = () if one is None else (one,)
        else:
            found = self._by_user.get(personal.removeprefix(USER_PREFIX), ())
        return [listener for listener in found if personal not in listener.channels]

    def hear(self, channels: Iterable[str]) -> bool:
        """Tell whether an event of one of these channels is for a listener, live or not, or an order to all workers."""
        for name in channels:
            if name in self._by_channel or name in (ALL, CONTROL):
                return True
            if name.startswith((USER_PREFIX, LISTENER_PREFIX)) and self.of_channel(name):
                return True
        return False

    def check_capacity(self, user: str = "", address: str = "") -> None:
        """Check that the limits allow one more listener, of this user and from this address.

        Raises:
            ListenerLimitError: The worker is full.
            TooManyListenersError: The user or the address has its maximum.
        """
        settings = self._settings
        if len(self.all) >= settings.max_listeners:
            raise ListenerLimitError(
                f"This worker has {len(self.all)} listeners, as many as SIMULCAST_MAX_LISTENERS allows. Try again later."
            )
        of_user, of_address = settings.max_listeners_per_user, settings.max_listeners_per_address
        if of_user and user and len(self._by_user.get(user, ())) >= of_user:
            raise TooManyListenersError(
                f"You have {of_user} connections here already. Close some, or raise SIMULCAST_MAX_LISTENERS_PER_USER."
            )
        if of_address and address and self._by_address[address] >= of_address:
            raise TooManyListenersError(
                f"Your address has {of_address} connections here already. Close some, or raise "
                "SIMULCAST_MAX_LISTENERS_PER_ADDRESS."
            )


def _drop(index: dict[str, dict[Listener, None]], name: str, listener: Listener) -> None:
    """Remove a listener from one index. A listener without a name is in none."""
    if name:
        del index[name][listener]
        if not index[name]:
            del index[name]
