"""Running: the methods for runs: producers that outlive the request that started them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any, Unpack

from flask import Flask, Response, current_app

from .errors import NoSuchRunError, RunExistsError, RunIdError
from .event import IdempotencyKey, check_key, check_user, fingerprint_of
from .grant import Grant
from .run import Run, meta_text
from .run_state import RunState, is_run_id
from .streaming import Streaming
from .transports.app_json import default_of
from .transports.response import StreamOptions

Producer = Callable[[Run], object]


class Running(Streaming):
    """The methods for runs. `Simulcast` inherits them."""

    def start_run(
        self,
        producer: Producer,
        *,
        id: str | None = None,
        user: str = "",
        meta: Mapping[str, Any] | None = None,
        idempotency_key: str | IdempotencyKey | None = None,
        max_seconds: float = 3600,
    ) -> RunState:
        """Start a producer that outlives this request, and return at once. Its events go to the channel ``run:<id>``, and it
        ends exactly once, whatever happens to this worker::

            def export(run):
                for number, row in enumerate(rows()):
                    run.publish({"row": number}, type="progress")
                return {"file": "orders.csv"}

            @app.post("/exports")
            def start():
                return {"id": simulcast.start_run(export, user=current_user.id).id}, 202

        The last event on the channel is one of

        - ``complete``, with what the producer returned;
        - ``failed``, with ``{"code", "message"}``: the producer raised, the time limit passed (``time_limit``), the worker
          stopped (``worker_stopped``) or was killed (``worker_lost``);
        - ``cancelled``.

        May switch.

        Args:
            producer: Called as ``producer(run)``, in a greenlet of this worker, or in a thread if the process is not patched by
                gevent; within an app context, without a request. A generator publishes what it yields.
            id: Its id: 1-64 characters of ``A-Z a-z 0-9 . _ -``. Random by default.
            user: The user who may watch it.
            meta: JSON data that is kept with it.
            idempotency_key: A second start for the same user with the same key joins the run that is there, while that is
                known. Clients without a user share their keys, unless an `IdempotencyKey` names each as a sender.
            max_seconds: Time after which it fails; above 0.

        Raises:
            RunIdError, RunExistsError: The id is invalid, or taken.
            TooManyRunsError, DrainingError: This worker, or this user in it, has as many as allowed; or the worker is about to
                stop.
            InvalidEventError: User, meta or key is invalid. Meta is as long as the data of an event at most.
            ValueError: ``max_seconds`` is not above 0.
            BrokerUnavailableError: The log can't be reached.
        """
        if not max_seconds > 0:  # also what is no number
            raise ValueError(f"max_seconds={max_seconds} ends a run before it begins. Use a number above 0.")
        if user:
            check_user(user)
        if idempotency_key is not None:
            key = check_key(idempotency_key)
            id = fingerprint_of("run", user, key.sender, key.key)
        elif id is None:
            id = token_hex(16)
        elif not is_run_id(id):
            raise RunIdError(f"{ascii(id)[:80]} is not an id of a run. Use 1 to 64 characters of A-Z a-z 0-9 . _ -")
        hub, default = self.hub, default_of(current_app)
        state, live = hub.runner.begin(id, user, meta_text(meta, hub.settings, default), max_seconds)
        if live is not None:
            run = Run(hub.runner, live, hub.settings, default)
            app = current_app._get_current_object()  # type: ignore[attr-defined]
            thread = threading.Thread(target=_produce, args=(app, run, producer), name=f"run-{id}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left
                run.fail()
                raise
        elif idempotency_key is None:
            raise RunExistsError(id)
        return state

    def run_state(self, id: str) -> RunState:
        """Return what is known of a run, in any worker. May switch.

        Raises:
            NoSuchRunError: It is unknown, or it ended longer ago than its history is kept.
            BrokerUnavailableError: The log can't be read.
        """
        state = self.hub.runner.find(id)
        if state is None:
            raise NoSuchRunError(id)
        return state

    def runs(self, *, user: str | None = None, after: str = "", limit: int = 100) -> list[RunState]:
        """Return the runs that are known, in the order of their ids.

        Args:
            user: Return only this user's. A client without a user (``""``) has none.
            after: Id of the last run of the previous page.
            limit: Maximum number of runs.
        """
        if user == "":
            return []
        return self.hub.runner.page(after, limit, user or "")

    def cancel_run(self, id: str) -> bool:
        """End a run as ``cancelled``, in any worker. Its producer learns of it within a second. May switch.

        Returns:
            Whether this call ended it; False if it had ended before.

        Raises:
            NoSuchRunError: It is unknown.
            BrokerUnavailableError: Certainly not cancelled.
            PublishUncertainError: Perhaps cancelled. Try again.
        """
        if self.hub.runner.cancel(id):
            return True
        self.run_state(id)
        return False

    def require_run(self, id: str) -> RunState:
        """Return the state of a run that the client of the current request may watch: it is its user's, or its grant names the
        channel ``run:<id>``. Without an authorizer, each view decides. May switch.

        Raises:
            NoSuchRunError: It is unknown, or another user's: a client can't tell which.
            UnauthorizedError: The grant has ended, or was revoked.
        """
        return self._watchable(id, None)[0]

    def run_sse(self, id: str, **options: Unpack[StreamOptions]) -> Response:
        """Return a response that streams a run as server-sent events: from its beginning, or from where the client was. It
        ends after the run's last event, so that an EventSource stops.

        Args:
            id: Id of the run.
            options: As in `sse`. With ``replay=1`` a new client gets the newest event first instead of all.

        Raises:
            NoSuchRunError: As in `require_run`.
            ListenError, BrokerUnavailableError: As in `sse`.
        """
        return self._run_stream(self.sse, id, options)

    def run_ndjson(self, id: str, **options: Unpack[StreamOptions]) -> Response:
        """Return the same stream as one JSON object a line."""
        return self._run_stream(self.ndjson, id, options)

    def run_stream(self, id: str, **options: Unpack[StreamOptions]) -> Response:
        """Return `run_ndjson` for a client that asks for ``application/x-ndjson``, `run_sse` for all others."""
        return self._run_stream(self.stream, id, options)

    def _run_stream(self, stream: Callable[..., Response], id: str, options: StreamOptions) -> Response:
        state, grant = self._watchable(id, options.get("grant"))
        return stream(state.channel, **{**options, "grant": grant})

    def _watchable(self, id: str, given: Grant | None) -> tuple[RunState, Grant]:
        grant = self.grant() if given is None else given
        state = self.run_state(id)
        is_own = state.user != "" and state.user == grant.user
        decides_itself = given is not None or self._authorizer is None
        if not (is_own or decides_itself or grant.may_subscribe(state.channel, self.reserved)):
            raise NoSuchRunError(id)
        return state, grant


def _produce(app: Flask, run: Run, producer: Producer) -> None:
    with app.app_context():
        run.produce(producer)
