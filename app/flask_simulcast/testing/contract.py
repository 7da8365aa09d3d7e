"""The promises of a broker, all of them."""

from __future__ import annotations

from .promises.agreements import AgreementPromises
from .promises.history import HistoryPromises
from .promises.keys import KeyPromises
from .promises.log import LogPromises
from .promises.newest import NewestPromises
from .promises.places import PlacePromises
from .promises.presence import PresencePromises
from .promises.runs import RunPromises
from .promises.summaries import SummaryPromises
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
    RunPromises,
    SummaryPromises,
    WorkerPromises,
    AgreementPromises,
):
    """Every promise of `brokers.base.Broker` as a test. Subclass it, and define how a broker is made::

        class TestMyBroker(BrokerContract):
            def make_broker(self, settings, clock):
                return MyBroker(settings, clock)

    pytest makes an object of the class for each test. A test might call `make_broker` again; if ``is_shared`` is true,
    the second broker must open the same log. Run the class in a process that is patched by gevent and in one that is
    not.

    Attributes:
        is_shared: True if several brokers, in one process or in many, can open the same log.
        tickets: Number of texts that the test of concurrent takers uses: enough for a run of a few seconds.
        clock: The clock of all brokers of the test.
    """
