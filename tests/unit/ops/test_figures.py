"""The figures of workers, added up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast.ops.figures import Figures, added_up

numbers = st.builds(
    Figures,
    counts=st.dictionaries(
        st.sampled_from(["a", "b"]), st.dictionaries(st.sampled_from(["", "x"]), st.integers(0, 1 << 40))
    ),
    gauges=st.fixed_dictionaries({"listeners": st.integers(0, 1 << 20).map(float), "lag_seconds": st.floats(0, 1e6)}),
    histograms=st.dictionaries(
        st.just("h"),
        st.tuples(st.lists(st.integers(0, 1 << 40), min_size=3, max_size=3), st.integers(0, 1 << 40).map(float)),
    ),
)


@given(numbers, numbers, numbers)
def test_the_order_in_which_workers_end_changes_no_sum(one: Figures, two: Figures, three: Figures) -> None:
    at_once = added_up([], [one, two, three])
    one_by_one = added_up([], [three, added_up([], [two, added_up([], [one])])])
    assert at_once == one_by_one
    living = added_up([one], [two, three])
    assert (living.counts, living.histograms) == (at_once.counts, at_once.histograms)
    assert living.gauges == one.gauges


@given(numbers)
def test_figures_survive_being_written_down(one: Figures) -> None:
    assert Figures.of_json(one.as_json()) == one


def test_gauges_are_those_of_the_living_listeners_added_up_lag_the_largest() -> None:
    living = [Figures({}, {"listeners": 3.0, "lag_seconds": 0.5}), Figures({}, {"listeners": 4.0, "lag_seconds": 0.1})]
    ended = [Figures({}, {"listeners": 9.0, "lag_seconds": 99.0})]
    assert added_up(living, ended).gauges == {"listeners": 7.0, "lag_seconds": 0.5}


def test_adding_up_leaves_the_parts_as_they_were() -> None:
    one, two = Figures({"a": {"": 1}}, {}, {"h": ([1, 2], 0.5)}), Figures({"a": {"": 2}}, {}, {"h": ([1, 2], 0.5)})
    added_up([one], [two])
    assert (one.counts, one.histograms) == ({"a": {"": 1}}, {"h": ([1, 2], 0.5)})


def test_a_worker_with_other_buckets_spoils_nothing() -> None:
    """Of an older version, while a reload replaces it."""
    row = added_up([Figures({}, {}, {"h": ([1, 2], 0.5)}), Figures({}, {}, {"h": ([1, 2, 3], 0.5)})]).histograms["h"]
    assert row == ([1, 2], 0.5)


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_what_another_version_wrote_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with pytest.raises(ValueError):
        Figures.of_json(text)
