"""Answers: those that this worker produces: when they begin and end, and what must stop with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from flask import Flask, current_app
from gevent.event import Event as Flag
from greenlet import greenlet

from ...extensions import simulcast
from ...flask_simulcast import CloseReason, Listener, RunEndedError, RunState
from ...flask_simulcast.signals import listener_closed, run_ended
from .signals import completion_ended

_WHY = "its answer has ended"
_KEY = "completions_answers"
#: Of the listener of the client that asked; and its JSON text.
ASKER_META = {"asks": True}
ASKER_META_TEXT = '{"asks":true}'


class Answer:
    """One answer in the making.

    Attributes:
        id: Its id, also that of its run.
        sender: The client that asked, as limits know it.
        created: Unix time in seconds.
        is_for_client: Whether it is cancelled when the client that asked leaves.
        begun: Set with its first chunk, or with its end.
        ended: Set when the log has its end.
        has_begun: Whether it has a chunk.
        turn: Set when nothing that was said before holds it up.
        published: Number of its chunks.
        usage: What the source says that it has used; None while it has not.
        stirs: Set with each chunk, and with what else happens to it.
    """

    def __init__(self, id: str, sender: str, created: int, *, is_for_client: bool) -> None:
        self.id = id
        self.sender = sender
        self.created = created
        self.is_for_client = is_for_client
        self.begun = Flag()
        self.ended = Flag()
        self.has_begun = False
        self.turn = Flag()
        self.published = 0
        self.usage: dict[str, Any] | None = None
        self.stirs = Flag()
        self._producer: greenlet | None = None

    @property
    def tokens(self) -> int:
        """What it has used; a token for each chunk if the source does not say."""
        return self.published if self.usage is None else int(self.usage["total_tokens"])

    def takes_turn(self) -> None:
        """Note that nothing holds it up."""
        self.turn.set()
        self.stirs.set()

    def goes_on(self) -> None:
        """Note a chunk."""
        self.published += 1
        self.has_begun = True
        self.begun.set()
        self.stirs.set()

    @contextmanager
    def may_interrupt(self) -> Iterator[None]:
        """Let the end of the answer interrupt the current greenlet in this block, whatever it waits for.

        Raises:
            RunEndedError: The answer has ended.
        """
        if self.ended.is_set():
            raise RunEndedError(_WHY)
        self._producer = gevent.getcurrent()
        try:
            yield
        finally:
            self._producer = None

    def end(self) -> None:
        """Note the end."""
        self.ended.set()
        self.begun.set()
        self.stirs.set()
        if self._producer is not None:
            gevent.kill(self._producer, RunEndedError(_WHY))


class Answers:
    """The answers that this worker produces, of one app."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    def add(self, answer: Answer) -> None:
        """Add one, before its run starts."""
        self._answers[answer.id] = answer

    def count(self, sender: str) -> int:
        """Return the number of answers that a client has in the making."""
        return sum(answer.sender == sender for answer in self._answers.values())

    def drop(self, id: str) -> None:
        """Remove one that did not start."""
        self._answers.pop(id, None)

    def was_ended(self, sender: Any, run: RunState) -> None:
        """Take note that a run of this worker has ended."""
        answer = self._answers.pop(run.id, None)
        if answer is not None:
            answer.end()
            gevent.spawn(_tell, sender, run, answer.tokens)

    def client_left(self, sender: Any, listener: Listener, reason: CloseReason) -> None:
        """Cancel the answer of a client that left, if it asked so. Another client that watched it cancels nothing."""
        answer = self._answers.get(listener.run)
        is_asker = listener.meta == ASKER_META_TEXT
        if answer is not None and answer.is_for_client and is_asker and reason is CloseReason.CLIENT_GONE:
            gevent.spawn(_cancel, sender, answer.id)


def _tell(app: Flask, run: RunState, tokens: int) -> None:
    with app.app_context():
        model = json.loads(run.meta)["model"]
        completion_ended.send(app, id=run.id, model=model, user=run.user, tokens=tokens)


def _cancel(app: Flask, id: str) -> None:
    with app.app_context():
        simulcast.cancel_run(id)


def init_app(app: Flask) -> None:
    """Start with no answers."""
    answers = app.extensions[_KEY] = Answers()
    run_ended.connect(answers.was_ended, app)
    listener_closed.connect(answers.client_left, app)


def here() -> Answers:
    """Return the answers of the current app."""
    answers: Answers = current_app.extensions[_KEY]
    return answers
