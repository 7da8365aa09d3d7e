"""The promises of a broker, all of them."""

from __future__ import annotations

from .promises.agreements import AgreementPromises
from .promises.history import HistoryPromises
from .promises.keys import KeyPromises
from .promises.log import LogPromises
from .promises.newest import NewestPromises
from .promises.places import PlacePromises
from .promises.presence import PresencePromises
from .promises.verdicts import VerdictPromises
from .promises.workers import WorkerPromises


class BrokerContract(
    LogPromises,
    KeyPromises,
    HistoryPromises,
    VerdictPromises,
    NewestPromises,
    PlacePromises,
    PresencePromises,
    WorkerPromises,
    AgreementPromises,
):
    """Every promise of `brokers.base.Broker` as a test. Inherit, and say how a broker is made::

        class TestMyBroker(BrokerContract):
            def make_broker(self, settings, clock):
                return MyBroker(settings, clock)

    pytest makes an object of the class for each test. Within one test `make_broker` may be called again, and
    must then open the same log, where ``is_shared`` is true. Run it in a process that is patched by gevent and in
    one that is not.

    Attributes:
        is_shared: Whether several brokers, of one process or of many, can be open on one log.
        tickets: How many texts are kept and taken in the race for them: as many as take a few seconds.
        clock: Of all brokers of the test.
    """
