"""The checker itself finds and counts each kind of forged fault, and accepts a right history."""

from __future__ import annotations

import dataclasses
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import SOURCE_BITS, Attempt, Chain, Gap, History, Outcome, Verdict, judge, order


def position(number: int, tag: str = "aa") -> str:
    return f"1000-{number}-{tag}"


def run(count: int = 10, chains: int = 1) -> History:
    """A right history: a number of events, and listeners that got them all."""
    numbers = list(range(1, count + 1))
    attempts = [Attempt("flow", number, Outcome.STORED, position(number), float(number)) for number in numbers]
    got = [position(number) for number in numbers]
    return History(
        attempts,
        [Chain(start=position(0), numbers=numbers[:], positions=got[:], has_stayed=True) for _ in range(chains)],
    )


def without(chain: Chain, *numbers: int) -> None:
    """Return a history in which these events never came."""
    kept = [pair for pair in zip(chain.numbers, chain.positions, strict=True) if pair[0] not in numbers]
    chain.numbers, chain.positions = [number for number, _ in kept], [text for _, text in kept]


def with_outcome(history: History, number: int, outcome: Outcome) -> None:
    """Return a history in which the publisher got another answer."""
    history.attempts[number - 1] = history.attempts[number - 1]._replace(outcome=outcome, position="")


def trimmed(index: int, start: int, to: int, channels: tuple[str, ...] = ("flow",)) -> Gap:
    return Gap(index, "trimmed", channels, position(start), position(to))


def test_a_right_history_passes() -> None:
    assert judge(run(100, chains=3)) == Verdict()
    assert judge(History()) == Verdict()


def test_what_is_lost_is_counted_and_so_are_its_silences() -> None:
    history = run(chains=2)
    without(history.chains[0], 3, 4, 7, 10)
    assert judge(history) == Verdict(lost=4, silences=3)


def test_what_was_published_before_one_came_or_after_it_left_is_not_due() -> None:
    history = run()
    chain = history.chains[0]
    chain.start, chain.has_stayed = position(4), False
    without(chain, 1, 2, 3, 4, 9, 10)
    assert judge(history) == Verdict()
    chain.has_stayed = True
    assert judge(history) == Verdict(lost=2, silences=1)


def test_one_that_stayed_and_got_nothing_has_lost_everything() -> None:
    history = run()
    history.chains = [Chain(has_stayed=True)]
    assert judge(history) == Verdict(lost=10, silences=1)


def test_other_channels_are_not_due() -> None:
    history = run()
    history.attempts[4] = history.attempts[4]._replace(channel="other")
    without(history.chains[0], 5)
    assert judge(history) == Verdict()


def test_what_comes_twice_is_doubled_and_not_disordered() -> None:
    history = run()
    chain = history.chains[0]
    chain.numbers[5:5] = [4, 5, 5]
    chain.positions[5:5] = [position(4), position(5), position(5)]
    assert judge(history) == Verdict(doubled=3)


def test_an_event_that_was_stored_twice_is_doubled() -> None:
    """A retry without its key: the same number at another position."""
    history = run()
    chain = history.chains[0]
    chain.numbers.append(3)
    chain.positions.append(position(11))
    assert judge(history).faults == {"doubled": 1}


def test_what_comes_too_late_is_disordered() -> None:
    history = run()
    chain = history.chains[0]
    for row in (chain.numbers, chain.positions):
        row[4], row[2] = row[2], row[4]  # 1 2 5 4 3 6
    assert judge(history) == Verdict(disordered=2)


def test_two_events_at_one_position_are_disordered() -> None:
    history = run()
    history.attempts[4] = history.attempts[4]._replace(position=position(4))
    history.chains[0].positions[4] = position(4)
    assert judge(history).disordered == 2  # in the acknowledgements, and at the listener


def test_a_publishers_own_order_counts_and_that_between_two_does_not() -> None:
    history = run()
    numbers = [1, 2, 1 << SOURCE_BITS, 3]
    places = [5, 6, 1, 7]
    history.attempts = [Attempt("flow", n, Outcome.STORED, position(p)) for n, p in zip(numbers, places, strict=True)]
    history.chains = []
    assert judge(history) == Verdict()
    history.attempts[3] = history.attempts[3]._replace(position=position(2))
    assert judge(history) == Verdict(disordered=1)


def test_listeners_that_have_an_event_at_different_positions_disagree() -> None:
    history = run(chains=3)
    history.chains[1].positions[6] = position(7, "bb")
    assert judge(history) == Verdict(disagreed=1)


def test_listeners_that_have_two_events_the_other_way_round_disagree() -> None:
    history = run(chains=2)
    numbers = history.chains[1].numbers
    numbers[3], numbers[4] = numbers[4], numbers[3]
    assert judge(history) == Verdict(disagreed=2)


def test_a_retry_that_is_answered_with_another_position_disagrees() -> None:
    history = run()
    history.attempts.append(history.attempts[2])
    assert judge(history) == Verdict()
    history.attempts.append(history.attempts[2]._replace(position=position(99)))
    assert judge(history) == Verdict(disagreed=1)


def test_an_event_that_was_not_published_is_a_phantom() -> None:
    history = run()
    history.attempts.pop()
    assert judge(history) == Verdict(phantom=1)


def test_what_was_certainly_not_stored_must_not_come() -> None:
    history = run(chains=2)
    with_outcome(history, 5, Outcome.REFUSED)
    assert judge(history) == Verdict(resurrected=2)
    for chain in history.chains:
        without(chain, 5)
    assert judge(history) == Verdict()


def test_what_is_uncertain_may_come_to_all_or_none() -> None:
    history = run(chains=2)
    with_outcome(history, 5, Outcome.UNCERTAIN)
    assert judge(history) == Verdict()
    without(history.chains[0], 5)
    assert judge(history) == Verdict(lost=1, silences=1), "it is stored: the other one has it"
    without(history.chains[1], 5)
    assert judge(history) == Verdict()


def test_what_one_does_not_listen_to_is_stray() -> None:
    history = run()
    history.attempts[4] = history.attempts[4]._replace(channel="other")
    assert judge(history) == Verdict(stray=1)


def test_a_gap_excuses_only_what_it_names() -> None:
    history = run()
    chain = history.chains[0]
    without(chain, 4, 5, 6)
    chain.gaps = [trimmed(3, start=3, to=6)]
    assert judge(history) == Verdict(told=3)
    chain.gaps = [trimmed(3, start=3, to=5)]
    assert judge(history) == Verdict(told=2, lost=1, silences=1)
    chain.gaps = [trimmed(3, start=3, to=6, channels=("other",))]
    assert judge(history) == Verdict(lost=3, silences=1, alarms=1)


def test_a_gap_does_not_excuse_what_was_passed_before() -> None:
    history = run()
    chain = history.chains[0]
    without(chain, 2, 7)
    chain.gaps = [trimmed(5, start=1, to=7)]
    assert judge(history) == Verdict(told=1, lost=1, silences=1)


@pytest.mark.parametrize("reason", ["trimmed", "lost", "forked", "invalid"])
def test_a_gap_with_nothing_missing_is_an_alarm(reason: str) -> None:
    history = run()
    history.chains[0].gaps = [Gap(4, reason, ("flow",), position(4), position(8))]
    assert judge(history) == Verdict(alarms=1)


def wiped() -> History:
    """Ten events; after the sixth the log was exchanged, and the positions of the new one are lower."""
    history = run(chains=2)
    history.replaced = [(6.4, 6.5)]
    for row in range(6, 10):
        history.attempts[row] = history.attempts[row]._replace(
            number=history.attempts[row].number + (1 << SOURCE_BITS), position=position(row - 5, "bb")
        )
    for chain in history.chains:
        chain.numbers[6:] = [attempt.number for attempt in history.attempts[6:]]
        chain.positions[6:] = [attempt.position for attempt in history.attempts[6:]]
        chain.gaps = [Gap(6, "lost", ("flow",), position(6), position(0), at=6.6)]
    return history


def test_a_new_log_begins_a_new_order_for_a_listener_that_is_told() -> None:
    assert judge(wiped()) == Verdict()
    history = wiped()
    history.chains[0].gaps = []
    assert judge(history).disordered == 4
    history = wiped()
    history.replaced = []
    assert judge(history).alarms == 2


def test_what_went_with_the_old_log_is_excused_by_being_told() -> None:
    history = wiped()
    chain = history.chains[0]
    del chain.numbers[4:6], chain.positions[4:6]
    assert judge(history).lost == 2, "told at the sixth event, but it had only four"
    chain.gaps = [chain.gaps[0]._replace(index=4, start=position(4))]
    assert judge(history) == Verdict(told=2)
    chain.gaps.append(chain.gaps[0])
    assert judge(history) == Verdict(told=2), "it may be told again as long as it has no new position"


def test_events_of_the_new_log_are_due_except_those_that_the_gap_jumps_over() -> None:
    history = wiped()
    chain = history.chains[0]
    del chain.numbers[6:8], chain.positions[6:8]
    assert judge(history).lost == 2
    chain.gaps = [chain.gaps[0]._replace(to=position(2, "bb"))]
    assert judge(history) == Verdict(told=2)


def test_a_listener_is_told_of_a_new_log_once() -> None:
    history = wiped()
    chain = history.chains[0]
    chain.gaps.append(chain.gaps[0]._replace(index=8, start=chain.positions[7], at=8.5))
    assert judge(history) == Verdict(alarms=1)


def test_verdicts_add_up_and_name_their_faults() -> None:
    both = Verdict(lost=1, told=2) + Verdict(lost=2, doubled=1)
    assert both == Verdict(lost=3, told=2, doubled=1)
    assert both.faults == {"lost": 3, "doubled": 1}


@pytest.mark.parametrize("text", ["", "x", "1", "1-2", "1-x-a", "-1-2-a"])
def test_what_is_no_position_stands_before_all(text: str) -> None:
    assert order(text) < order("0-0-a") < order("0-1-b") < order("1-0-a")


@given(st.integers(20, 200), st.integers(0, 1 << 30))
def test_whatever_dice_spoil_is_counted_to_the_event(count: int, seed: int) -> None:
    chance = random.Random(seed)
    history = run(count)
    chain = history.chains[0]
    lost = chance.sample(range(1, count + 1), chance.randrange(count // 2))
    without(chain, *lost)
    doubled = chance.randrange(len(chain.numbers))
    for _ in range(doubled):
        index = chance.randrange(len(chain.numbers))
        later = chance.randrange(index, len(chain.numbers)) + 1
        chain.numbers.insert(later, chain.numbers[index])
        chain.positions.insert(later, chain.positions[index])
    verdict = judge(history)
    assert (verdict.lost, verdict.doubled, verdict.disordered) == (len(lost), doubled, 0)


def test_a_million_events_are_judged_in_seconds() -> None:
    count = 100_000
    history = run(count, chains=3)
    without(history.chains[2], *range(500, count, 1000))
    began = time.process_time()
    assert judge(history) == Verdict(lost=100, silences=100)
    assert time.process_time() - began < 5 * 0.5, "a million: some five seconds; asserted at five times that"


def test_a_verdict_has_a_word_for_each_fault() -> None:
    assert all(f"{row.name}:" in (Verdict.__doc__ or "") for row in dataclasses.fields(Verdict))
