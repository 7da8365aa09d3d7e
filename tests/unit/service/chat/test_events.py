"""Who is taken for whom, and what is told of comings and goings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.chat.access import SPEAK
from app.features.chat.events import Person, channel_of, channels_of, told
from app.features.chat.texts import check_name
from app.flask_simulcast import Event, Grant, Position
from app.web.errors import ApiError

ANN = Person("ann", is_verified=True)
STRANGER = Person("ann", is_verified=False)


@given(st.text(min_size=1, max_size=64), st.booleans(), st.text(min_size=1, max_size=64), st.booleans())
def test_two_people_are_never_one_member(one: str, one_is: bool, other: str, other_is: bool) -> None:
    people = []
    for name, is_verified in ((one, one_is), (other, other_is)):
        try:
            people.append(Person(check_name(name), is_verified))
        except ApiError:
            return
    assert (people[0].member == people[1].member) == (people[0] == people[1])
    assert [Person.of_member(person.member) for person in people] == people


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_a_right_to_speak_in_all_rooms_does_not_publish_to_their_channels(room: str) -> None:
    grant = Grant(user="ann", subscribe=["chat.*"], publish=["chat.*"])
    assert grant.may_publish(SPEAK.channel({"room": room}))
    assert not any(grant.may_publish(channel) or grant.may_subscribe(channel) for channel in channels_of(room))


def test_comings_and_goings_are_told_by_the_names_of_the_chat() -> None:
    position = Position(1, 2)
    channel = "presence:" + channel_of("lobby")
    for type, renamed, person in (("join", "user-join", ANN), ("leave", "user-leave", STRANGER)):
        fact = json.dumps({"member": person.member, "meta": {"secret": 1}, "time": 7})
        seen = told(Event(position, channel, type, fact))
        assert seen is not None
        assert (seen.position, seen.type) == (position, renamed)
        assert json.loads(seen.data) == {"room": "lobby", "user": "ann", "verified": person.is_verified, "time": 7}
    assert told(Event(position, channel, "of a later version", "{}")) is None


def test_event_of_another_stream_is_not_taken_for_one_of_the_room() -> None:
    for type in ("message", "typing", "history", "user-join", "user-leave", "reply", "closing"):
        for channel in ("all", "user:ann"):
            assert told(Event(Position(1, 2), channel, type, "{}")) is None
        for channel in (channel_of("lobby"), "listener:0011223344556677"):
            assert told(Event(Position(1, 2), channel, type, "{}")) is not None


@pytest.mark.parametrize("channel", [channel_of("lobby"), "user:ann", "all", "presence:other"])
def test_all_else_is_told_as_it_is(channel: str) -> None:
    event = Event(Position(1, 2), channel, "join", "no object")
    assert told(event) is event
