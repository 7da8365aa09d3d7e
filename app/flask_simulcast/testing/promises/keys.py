"""The promises of idempotency keys: the same event is stored once, another event with its key is refused."""

from __future__ import annotations

from collections.abc import Callable

from ...brokers.base import IDEMPOTENCY_SECONDS, Broker
from ...errors import IdempotencyConflictError
from ...event import Draft, Position, fingerprint_of
from .broker_case import BrokerCase


def keyed(data: str, key: str = "k", channel: str = "c") -> Draft:
    """Make an event with a key, as a publisher does."""
    return Draft(channel, "message", data, key, fingerprint_of("message", data))


def is_refused(broker: Broker, *drafts: Draft) -> bool:
    """Append a batch; return whether it was refused as a conflict."""
    try:
        broker.append(drafts)
    except IdempotencyConflictError:
        return True
    return False


class KeyPromises(BrokerCase):
    """Publishes that are tried again."""

    def test_a_known_key_answers_its_old_position(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        self.store(broker, "c", 2)
        assert broker.append([keyed("1")]) == first
        assert self.data_of(broker, "c") == ["1", "2"]

    def test_a_key_is_known_within_its_own_batch(self) -> None:
        broker = self.open()
        for copies in (1, 100):
            drafts = [keyed(str(n // 2), f"{copies}-{n // 2}") for n in range(2 * copies)]
            positions = broker.append(drafts)
            assert positions[::2] == positions[1::2]
            assert len(set(positions)) == copies
            assert broker.append(drafts) == positions
        assert len(self.events_of(broker, "c")) == 101

    def test_a_key_is_known_to_every_broker_of_the_log(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        assert self.open_other(broker).append([keyed("1")]) == first

    def test_a_key_is_known_for_300_seconds(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        broker.maintain()
        self.clock.advance(IDEMPOTENCY_SECONDS - 1)
        broker.maintain()
        assert broker.append([keyed("1")]) == first
        self.clock.advance(2)
        broker.maintain()
        assert broker.append([keyed("1")])[0].key > first[0].key

    def test_a_key_stays_known_when_the_clock_jumps(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        for seconds in (-7200, 10_800):
            self.clock.jump(seconds)
            self.settle(broker)
            assert broker.append([keyed("1")]) == first

    def test_a_key_is_forgotten_in_time_when_the_clock_was_set_back(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        self.clock.jump(-86400)
        broker.maintain()
        self.clock.advance(IDEMPOTENCY_SECONDS + 1)
        broker.maintain()
        assert broker.append([keyed("1")])[0].key > first[0].key

    def test_a_key_outlives_its_event(self) -> None:
        broker = self.open(history_events=0)
        first = broker.append([keyed("1")])
        self.settle(broker)
        assert self.events_of(broker, "c") == []
        assert broker.append([keyed("1")]) == first

    # The same key, another event

    def refuses(self, broker: Broker, *drafts: Draft) -> None:
        """Check that the batch is refused as a conflict and that the log has not changed."""
        head = broker.head()
        assert is_refused(broker, *drafts)
        assert broker.head() == head

    def test_a_known_key_with_another_event_is_refused_and_nothing_is_stored(self) -> None:
        """An earlier version answered the old position for the other event."""
        broker = self.open()
        first = broker.append([keyed("1")])
        self.refuses(broker, keyed("2"))
        self.refuses(self.open_other(broker), keyed("2"))
        assert broker.append([keyed("1")]) == first
        assert self.data_of(broker, "c") == ["1"]

    def test_a_batch_with_one_conflict_stores_none(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        others = [keyed(str(n), f"other-{n}") for n in range(100)]
        for drafts in ([keyed("0", "x"), keyed("2")], [keyed("2"), Draft("c", "message", "3")], [*others, keyed("2")]):
            self.refuses(broker, *drafts)
        assert self.data_of(broker, "c") == ["1"]
        # The refused batch's keys are not known either.
        assert broker.append([keyed("9", "x"), keyed("1"), keyed("9", "other-7")])[1:2] == first
        assert self.data_of(broker, "c") == ["1", "9", "9"]

    def test_two_events_with_one_key_in_one_batch_are_refused(self) -> None:
        broker = self.open()
        self.refuses(broker, keyed("1"), keyed("2"))
        self.refuses(broker, *[keyed(str(n), "k" if n in (3, 97) else f"{n}") for n in range(100)])
        assert len(broker.append([keyed("2")])) == 1

    def test_a_key_without_a_fingerprint_counts_alone(self) -> None:
        """Older versions stored keys without a fingerprint."""
        broker = self.open()
        first = broker.append([Draft("c", "message", "1", "k")])
        assert broker.append([keyed("2"), keyed("3"), Draft("c", "message", "4", "k")]) == first * 3
        second = broker.append([keyed("1", "l")])
        assert broker.append([Draft("c", "message", "2", "l")]) == second
        self.refuses(broker, keyed("2", "l"))

    def test_a_key_of_another_event_is_free_again_after_300_seconds(self) -> None:
        broker = self.open()
        first = broker.append([keyed("1")])
        broker.maintain()
        self.clock.advance(IDEMPOTENCY_SECONDS - 1)
        broker.maintain()
        self.refuses(broker, keyed("2"))
        self.clock.advance(2)
        broker.maintain()
        assert broker.append([keyed("2")])[0].key > first[0].key
        self.refuses(broker, keyed("1"))

    def test_keys_can_have_any_characters_and_are_told_apart(self) -> None:
        broker = self.open()
        keys = ["a b", "a  b", " a b", "a\nb", "-", "- -", "+1", "!", "\u540d", "%s", "x" * 128]
        positions = [broker.append([keyed("1", key), keyed("1", key)]) for key in keys]
        assert len({first for first, _ in positions}) == len(keys)
        assert [broker.append([keyed("1", key)])[0] for key in keys] == [again for _, again in positions]

    def test_a_conflict_concerns_its_own_caller_only(self) -> None:
        """Batches that are stored in the same group are not refused with it."""
        broker = self.open()
        broker.append([keyed("0")])
        stored: dict[int, Position] = {}
        refused: list[int] = []

        def append(number: int) -> Callable[[], None]:
            def work() -> None:
                for turn in range(number, number + 300, 20):
                    if number % 4:
                        drafts = [
                            keyed(f"{turn}", f"k{turn}"),
                            Draft("d", "message", f"{turn}"),
                            keyed(f"{turn}", f"k{turn}"),
                        ]
                        first, stored[turn], again = broker.append(drafts)
                        assert first == again
                        continue
                    assert is_refused(broker, Draft("d", "message", "no"), keyed("no", f"k{turn}"), keyed("no"))
                    refused.append(turn)

            return work

        self.race(*map(append, range(20)))
        assert len(refused) == 75
        events = {event.data: event.position for event in self.events_of(broker, "d")}
        assert events == {str(turn): position for turn, position in stored.items()}
        assert len(stored) == 225 == len(self.events_of(broker, "c")) - 1
