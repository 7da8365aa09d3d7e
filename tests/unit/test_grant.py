"""Patterns: what they mean, and that neither a star nor a name reaches what is reserved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flask_simulcast import Grant
from app.flask_simulcast.errors import ChannelNameError
from app.flask_simulcast.event import ALL, RESERVED_PREFIXES
from app.flask_simulcast.grant import matches

RESERVED = ["all", "user:bob", "listener:7b29735d84c195f9", "presence:chat.a", "simulcast:control"]
# Names that a user who chooses his own name might take to get the rights of others.
GREEDY = [
    "*",
    "{sub}",
    "{sub}*",
    "all",
    "user:",
    "user:*",
    "presence:",
    "presence:*",
    "listener:",
    "simulcast:",
    "chat.*",
]


@pytest.mark.parametrize(
    ("pattern", "channel", "user"),
    [
        ("news", "news", ""),
        ("chat.*", "chat.", ""),
        ("chat.*", "chat.a.b", ""),
        ("*", "anything", ""),
        ("inbox.{sub}", "inbox.bob", "bob"),
        ("inbox.{sub}.*", "inbox.bob.new", "bob"),
        ("{sub}", "bob", "bob"),
        ("{sub}.{sub}", "bob.bob", "bob"),
        ("all", "all", ""),
        ("user:bob", "user:bob", ""),
        ("user:{sub}", "user:bob", "bob"),
        ("user:*", "user:bob", ""),
        ("listener:*", "listener:7b29735d84c195f9", ""),
        ("presence:chat.*", "presence:chat.a", ""),
        ("presence:*", "presence:chat.a", ""),
    ],
)
def test_a_pattern_means_a_channel(pattern: str, channel: str, user: str) -> None:
    assert matches(pattern, channel, user)


@pytest.mark.parametrize(
    ("pattern", "channel", "user"),
    [
        ("news", "news2", ""),
        ("news", "new", ""),
        ("News", "news", ""),
        ("chat.*", "chat", ""),
        ("chat.*", "chatter", ""),
        ("chat", "chat.*", ""),
        ("", "a", ""),
        ("inbox.{sub}", "inbox.bob", "alice"),
        ("inbox.{sub}", "inbox.", ""),
        ("inbox.{sub}", "inbox.{sub}", ""),
        ("inbox.{sub}*", "inbox.bob", ""),
        ("all*", "all", ""),
        ("al*", "all", ""),
        ("presence*", "presence:chat.a", ""),
        ("presence:chat.*", "presence:other", ""),
        ("user*", "user:bob", ""),
        ("user:{sub}", "user:alice", "bob"),
    ],
)
def test_a_pattern_does_not_mean_a_channel(pattern: str, channel: str, user: str) -> None:
    assert not matches(pattern, channel, user)


@pytest.mark.parametrize("channel", RESERVED)
def test_a_star_alone_reaches_no_reserved_name(channel: str) -> None:
    grant = Grant(user="bob", subscribe=("*",), publish=("*",))
    assert channel == ALL or not grant.may_subscribe(channel)
    assert not grant.may_publish(channel)


@pytest.mark.parametrize("pattern", ["*", "job*", "jobs*", "{sub}*", "{sub}1", "presence:*", "presence:{sub}*"])
def test_a_prefix_that_the_app_has_reserved_must_be_spelled_out(pattern: str) -> None:
    """sec "what * means"."""
    for channel in ("jobs.1", "presence:jobs.1"):
        assert not matches(pattern, channel, "jobs.", ("jobs.",))
    assert matches("jobs.*", "jobs.1", "", ("jobs.",))
    assert matches("jobs.{sub}", "jobs.1", "1", ("jobs.",))
    assert matches("presence:jobs.*", "presence:jobs.1", "", ("jobs.",))
    assert matches("*", "jobs", "", ("jobs.",))
    grant = Grant(subscribe=("*", "presence:*"), publish=("*",))
    assert not grant.may_subscribe("jobs.1", ("jobs.",))
    assert not grant.may_publish("jobs.1", ("jobs.",))
    assert grant.may_subscribe("presence:news", ("jobs.",))


def test_every_listener_may_name_the_channels_that_all_listeners_get() -> None:
    assert Grant(subscribe=("news",)).may_subscribe(ALL)
    assert Grant(user="bob").may_subscribe(ALL)
    assert not Grant().may_subscribe(ALL)


@pytest.mark.parametrize("user", GREEDY)
@pytest.mark.parametrize("pattern", ["{sub}", "{sub}*", "{sub}.*", "{sub}{sub}", "{sub}bob"])
def test_a_name_reaches_no_reserved_name(pattern: str, user: str) -> None:
    for channel in RESERVED:
        assert not matches(pattern, channel, user)


@pytest.mark.parametrize("user", GREEDY)
def test_a_name_that_is_a_pattern_is_only_a_name(user: str) -> None:
    grant = Grant(user=user, subscribe=("inbox.{sub}", "user:{sub}"))
    for channel in ("inbox.bob", "inbox.", "user:bob", "user:", "presence:inbox.bob"):
        assert not grant.may_subscribe(channel)


@given(
    pattern=st.text(st.sampled_from("abl.:*{}su"), max_size=12) | st.sampled_from(["{sub}", "{sub}*", "*", "a{sub}*"]),
    user=st.text(max_size=20) | st.sampled_from([*GREEDY, *RESERVED]),
    channel=st.sampled_from(RESERVED) | st.text(st.sampled_from("abl.:"), min_size=1, max_size=12),
)
def test_only_a_pattern_that_spells_a_reserved_name_out_means_it(pattern: str, user: str, channel: str) -> None:
    if not matches(pattern, channel, user):
        return
    for prefix in RESERVED_PREFIXES:
        assert not channel.startswith(prefix) or pattern.startswith(prefix)
    assert channel != ALL or pattern == ALL


@given(user=st.text(min_size=1, max_size=20), other=st.text(st.sampled_from("abc"), min_size=1, max_size=5))
def test_a_user_is_not_given_the_channels_of_another(user: str, other: str) -> None:
    assert matches("inbox.{sub}", f"inbox.{other}", user) == (user == other)


@pytest.mark.parametrize("user", ["x" * 129, "a\nb", "a\rb", "a\0b", "\ud800"])
def test_an_impossible_name_makes_no_grant(user: str) -> None:
    with pytest.raises(ChannelNameError):
        Grant(user=user)


def test_a_grant_without_a_name_a_token_and_rights_is_anonymous() -> None:
    assert Grant(subscribe=("news",)).is_anonymous
    assert not Grant(user="bob").is_anonymous
    assert not Grant(token_id="t").is_anonymous
    assert not Grant(publish=("news",)).is_anonymous


def test_a_revocation_knows_a_grant_by_user_and_by_token() -> None:
    assert Grant(user="bob", token_id="t").revocable_as == ("user:bob", "token:t")
    assert Grant(subscribe=("*",), publish=("*",)).revocable_as == ()


@given(
    user=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), max_size=20),
    patterns=st.lists(st.text(max_size=10), max_size=3),
    expires_at=st.none() | st.floats(0, 1e10),
)
def test_a_ticket_gives_back_the_grant_that_was_put_in(
    user: str, patterns: list[str], expires_at: float | None
) -> None:
    grant = Grant(user, tuple(patterns), ("a.*",), {"name": user}, expires_at, issued_at=1.5, token_id="t")
    assert Grant.from_json(grant.to_json()) == grant


def test_patterns_may_be_a_list_or_one_name_and_are_kept_as_a_tuple() -> None:
    """Friction 16; and one name was taken apart into its letters."""
    for patterns in (["a"], ("a",), {"a"}, iter(["a"]), "a"):
        assert Grant(subscribe=patterns).subscribe == ("a",)
    assert Grant(publish="orders").publish == ("orders",)
    grant = Grant("ann", ["a"], ["b"], {"x": 1}, 5.0, 4, "t")
    assert Grant.from_json(grant.to_json()) == grant
    assert replace(grant, user="bob") == Grant("bob", ("a",), ("b",), {"x": 1}, 5.0, 4, "t")
