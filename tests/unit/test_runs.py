"""Runs: one ending each, whatever the producer does; joined, cancelled, limited; streamed from the beginning to the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from flask import Flask, current_app, has_request_context

from app.flask_simulcast import Grant, IdempotencyKey, Run, RunEndedError, RunFailedError, RunState, Simulcast
from app.flask_simulcast.brokers.memory.broker import MemoryBroker
from app.flask_simulcast.errors import (
    BrokerUnavailableError,
    DrainingError,
    EventTooLargeError,
    EventTypeError,
    NoSuchRunError,
    PublishUncertainError,
    RunExistsError,
    RunIdError,
    TooManyRunsError,
)
from app.flask_simulcast.hub import live_run, runner
from app.flask_simulcast.run_state import failed_draft
from app.flask_simulcast.testing import SSEEvent, read_sse
from tests.unit.outages import wait_until

_SECONDS = 10


@pytest.fixture(params=[{}])
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    app = Flask(__name__)
    app.config.update({"SIMULCAST_BROKER_URL": "memory://"} | request.param)
    simulcast = Simulcast(app)
    app.extensions["tested"] = simulcast
    with app.app_context():
        yield app
        simulcast.close(app)
        for thread in threading.enumerate():
            if thread.name.startswith("run-"):
                thread.join(_SECONDS)


@pytest.fixture
def simulcast(app: Flask) -> Simulcast:
    tested: Simulcast = app.extensions["tested"]
    return tested


def limits(**values: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("app", [values], indirect=True)


def events_of(simulcast: Simulcast, run: RunState, *, last_event_id: str | None = None) -> list[SSEEvent]:
    """Read a run's stream to its end."""
    with current_app.test_request_context(headers={"Last-Event-ID": last_event_id} if last_event_id else {}):
        response = simulcast.run_sse(run.id)
        return list(read_sse([b"".join(response.response)]))  # type: ignore[arg-type]


def told(events: list[SSEEvent]) -> list[tuple[str, Any]]:
    """What a stream says besides its first word and its last."""
    assert events[0].type == "connected"
    assert (events[-1].type, json.loads(events[-1].data)) == ("closed", {"reason": "finished", "reconnect": False})
    return [(event.type, json.loads(event.data)) for event in events[1:-1]]


class Steps:
    """A producer that takes one step each time it is told to, and notes how it ended."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.run: Run | None = None

    def __call__(self, run: Run) -> str:
        self.run = run
        try:
            for number in range(100):
                while not self.go.acquire(timeout=0.01):
                    run.check()
                run.publish(number)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.done.set()
        return "all"


def test_what_a_producer_publishes_and_returns_is_streamed_and_the_stream_ends(simulcast: Simulcast) -> None:
    def produce(run: Run) -> dict[str, object]:
        assert not has_request_context()
        run.publish({"row": 1}, type="progress")
        run.publish("<b>2</b>", raw=True, type="html")
        return {"app": current_app.name, "meta": run.meta, "user": run.user, "channel": run.channel}

    run = simulcast.start_run(produce, id="r1", user="ann", meta={"kind": "export"})
    assert (run.id, run.user, run.meta, run.status, run.channel) == (
        "r1",
        "ann",
        '{"kind":"export"}',
        "running",
        "run:r1",
    )
    events = events_of(simulcast, run)
    assert [(event.type, event.data) for event in events[1:3]] == [("progress", '{"row":1}'), ("html", "<b>2</b>")]
    result = {"app": current_app.name, "meta": {"kind": "export"}, "user": "ann", "channel": "run:r1"}
    assert (events[3].type, json.loads(events[3].data)) == ("complete", result)
    ended = simulcast.run_state("r1")
    assert (ended.status, ended.events) == ("complete", 3)
    assert str(ended.end) == events[3].id


def test_a_generator_publishes_what_it_yields_and_small_pieces_leave_together(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    appends: list[int] = []
    append = MemoryBroker.append_to_runs

    def counted(broker: MemoryBroker, asked: Any) -> list[bool]:
        appends.append(len(asked[0].drafts))
        return append(broker, asked)

    monkeypatch.setattr(MemoryBroker, "append_to_runs", counted)
    run = simulcast.start_run(lambda run: (number for number in range(600)))
    assert told(events_of(simulcast, run)) == [*(("message", number) for number in range(600)), ("complete", None)]
    assert sum(appends) == 601
    assert len(appends) <= 5


def test_a_client_that_comes_back_gets_the_rest_and_a_late_one_gets_all(simulcast: Simulcast) -> None:
    steps = Steps()
    run = simulcast.start_run(steps)
    with current_app.test_request_context():
        body = iter(simulcast.run_sse(run.id).response)
        next(body)
        steps.go.release(2)
        seen: list[SSEEvent] = []
        while len(seen) < 2:
            seen += read_sse([next(body)])  # type: ignore[arg-type]
        body.close()  # type: ignore[attr-defined]
    steps.go.release(98)
    rest = [*(("message", number) for number in range(2, 100)), ("complete", "all")]
    assert told(events_of(simulcast, run, last_event_id=seen[1].id)) == rest
    assert told(events_of(simulcast, run)) == [("message", 0), ("message", 1), *rest]
    last = simulcast.run_state(run.id).end
    assert told(events_of(simulcast, run, last_event_id=str(last))) == []
    with current_app.test_request_context(headers={"Last-Event-ID": "end"}):
        assert simulcast.run_sse(run.id).status_code == 204


def test_who_joins_late_can_begin_with_the_newest_event(simulcast: Simulcast) -> None:
    run = simulcast.start_run(lambda run: iter_of(5))
    events_of(simulcast, run)
    with current_app.test_request_context():
        newest = list(read_sse([b"".join(simulcast.run_sse(run.id, replay=1).response)]))  # type: ignore[arg-type]
    assert told(newest) == [("complete", None)]


def iter_of(count: int) -> Iterator[int]:
    yield from range(count)


# Endings


def test_an_exception_ends_it_and_its_text_is_for_the_log_alone(
    simulcast: Simulcast, caplog: pytest.LogCaptureFixture
) -> None:
    def produce(run: Run) -> None:
        run.publish(1)
        raise ValueError("password=hunter2")

    run = simulcast.start_run(produce)
    first, (type, data) = told(events_of(simulcast, run))
    assert (first, type, data["code"]) == (("message", 1), "failed", "failed")
    assert "hunter2" not in json.dumps(data)
    assert "hunter2" in caplog.text
    assert simulcast.run_state(run.id).status == "failed"


def test_a_producer_can_fail_with_words_of_its_own(simulcast: Simulcast, caplog: pytest.LogCaptureFixture) -> None:
    def produce(run: Run) -> None:
        raise RunFailedError("The file is not a CSV. Choose another.", "not_csv")

    data = {"code": "not_csv", "message": "The file is not a CSV. Choose another."}
    assert told(events_of(simulcast, simulcast.start_run(produce))) == [("failed", data)]
    assert simulcast.metrics.value("runs_failed_total", "not_csv") == 1
    assert not caplog.records


@pytest.mark.parametrize("result", [object(), "x" * (64 << 10)])
def test_a_result_that_no_event_can_hold_is_a_failure(simulcast: Simulcast, result: object) -> None:
    ((type, data),) = told(events_of(simulcast, simulcast.start_run(lambda run: result)))
    assert (type, data["code"]) == ("failed", "failed")


def test_a_cancelled_producer_stops_and_nothing_follows(simulcast: Simulcast, caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    run = simulcast.start_run(steps)
    steps.go.release(2)
    wait_until(lambda: simulcast.run_state(run.id).events == 2, _SECONDS)
    assert simulcast.cancel_run(run.id)
    assert not simulcast.cancel_run(run.id), "it has ended"
    assert steps.done.wait(_SECONDS)
    assert isinstance(steps.error, RunEndedError)
    assert steps.run is not None
    assert steps.run.is_cancelled
    with pytest.raises(RunEndedError):
        steps.run.publish("late")
    with pytest.raises(RunEndedError):
        steps.run.sleep(60)
    assert told(events_of(simulcast, run)) == [("message", 0), ("message", 1), ("cancelled", {})]
    assert not caplog.records


def test_a_run_that_was_ended_in_another_worker_stops_at_once(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_HOLD_SECONDS", 60)
    steps = Steps()
    run = simulcast.start_run(steps)
    ended = runner.RunAppend(run.id, [failed_draft(run.id, "other", "x")], ending="failed")
    assert simulcast.hub.broker.append_to_runs([ended]) == [True]
    assert steps.done.wait(5)
    assert isinstance(steps.error, RunEndedError)
    assert simulcast.metrics.value("runs_failed_total", "worker_lost") == 1


@pytest.mark.parametrize("error", [SystemExit(1), gevent.Timeout(1), KeyboardInterrupt()])
def test_what_is_no_exception_ends_it_as_well(simulcast: Simulcast, error: BaseException) -> None:
    def produce(run: Run) -> None:
        raise error

    ((type, data),) = told(events_of(simulcast, simulcast.start_run(produce)))
    assert (type, data["code"]) == ("failed", "failed")


def test_a_producer_for_which_there_is_no_thread_fails(simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError):
        simulcast.start_run(Steps(), id="r")
    monkeypatch.undo()
    assert simulcast.run_state("r").status == "failed"


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_limit_that_is_none(simulcast: Simulcast, seconds: float) -> None:
    with pytest.raises(ValueError, match="max_seconds"):
        simulcast.start_run(Steps(), id="r", max_seconds=seconds)
    with pytest.raises(NoSuchRunError):
        simulcast.run_state("r")


def test_a_run_of_a_lost_worker_ends_for_a_caller_that_only_asks(simulcast: Simulcast) -> None:
    simulcast.hub.broker.begin_run("r", "", "{}", "a worker that was killed", 0.01)
    wait_until(lambda: simulcast.run_state("r").status == "failed", _SECONDS)


def test_time_over(simulcast: Simulcast) -> None:
    steps = Steps()
    run = simulcast.start_run(steps, max_seconds=0.05)
    ((type, data),) = told(events_of(simulcast, run))
    assert (type, data["code"]) == ("failed", "time_limit")
    assert steps.done.wait(_SECONDS)


def test_a_generator_is_closed_where_its_run_ends(simulcast: Simulcast) -> None:
    closed = threading.Event()

    def produce(run: Run) -> Iterator[int]:
        try:
            while True:
                yield 1
                time.sleep(0.001)
        finally:
            closed.set()

    run = simulcast.start_run(produce)
    wait_until(lambda: simulcast.run_state(run.id).events > 0, _SECONDS)
    simulcast.cancel_run(run.id)
    assert closed.wait(_SECONDS)


def test_a_worker_that_stops_says_so_and_takes_no_new_run(simulcast: Simulcast) -> None:
    run = simulcast.start_run(Steps())
    simulcast.hub.runner.stop(0)
    ((type, data),) = told(events_of(simulcast, run))
    assert (type, data["code"]) == ("failed", "worker_stopped")
    with pytest.raises(DrainingError):
        simulcast.start_run(Steps())


def test_a_worker_that_stops_lets_a_run_end_by_itself_in_time(simulcast: Simulcast) -> None:
    run = simulcast.start_run(lambda run: run.sleep(0.05))
    simulcast.hub.runner.stop(_SECONDS)
    assert told(events_of(simulcast, run)) == [("complete", None)]


def test_a_producer_ends_when_its_worker_stops_while_the_log_is_away(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps()
    simulcast.start_run(steps)
    monkeypatch.setattr(runner, "_LAST_SECONDS", 0.05)
    monkeypatch.setattr(MemoryBroker, "append_to_runs", lambda *_: raise_away())
    simulcast.hub.runner.stop(0)
    assert steps.done.wait(_SECONDS)
    assert simulcast.metrics.gauges()["runs"] == 0


def test_a_run_that_begins_while_its_worker_stops_is_refused(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = MemoryBroker.begin_run

    def stopping(broker: MemoryBroker, *arguments: Any) -> Any:
        simulcast.hub.runner.stop(0)
        return begin(broker, *arguments)

    monkeypatch.setattr(MemoryBroker, "begin_run", stopping)
    with pytest.raises(DrainingError):
        simulcast.start_run(Steps())
    assert not simulcast.metrics.value("runs_started_total")


# The log


def raise_away() -> Any:
    raise BrokerUnavailableError("away")


@pytest.mark.parametrize("error", [BrokerUnavailableError("away"), PublishUncertainError("perhaps")])
def test_an_outage_of_the_log_loses_nothing_and_doubles_nothing(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(runner, "_RETRY_SECONDS", 0.01)
    append = MemoryBroker.append_to_runs
    calls = 0

    def broken(broker: MemoryBroker, asked: Any) -> list[bool]:
        nonlocal calls
        calls += 1
        if isinstance(error, PublishUncertainError) or calls % 3 == 0:
            stored = append(broker, asked)
        if calls % 3:
            raise error
        return stored

    monkeypatch.setattr(MemoryBroker, "append_to_runs", broken)
    run = simulcast.start_run(lambda run: iter_of(20))
    assert told(events_of(simulcast, run)) == [*(("message", number) for number in range(20)), ("complete", None)]


def test_what_is_published_after_an_unclear_append_is_not_lost(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log had the first event. A second try with more events than that would be taken for stored."""
    is_unclear = True
    append = MemoryBroker.append_to_runs

    def broken(broker: MemoryBroker, asked: Any) -> list[bool]:
        stored = append(broker, asked)
        if is_unclear:
            raise PublishUncertainError("perhaps")
        return stored

    monkeypatch.setattr(MemoryBroker, "append_to_runs", broken)
    monkeypatch.setattr(runner, "_RETRY_SECONDS", 0.01)
    steps = Steps()
    run = simulcast.start_run(steps)
    steps.go.release()
    wait_until(lambda: simulcast.run_state(run.id).events == 1, _SECONDS)
    steps.go.release(99)
    assert steps.done.wait(_SECONDS)
    is_unclear = False
    assert told(events_of(simulcast, run)) == [*(("message", number) for number in range(100)), ("complete", "all")]


def test_many_busy_runs_take_turns_in_appends_of_bounded_size(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    append = MemoryBroker.append_to_runs

    def counted(broker: MemoryBroker, asked: Any) -> list[bool]:
        sizes.append(sum(len(one.drafts) for one in asked))
        return append(broker, asked)

    monkeypatch.setattr(MemoryBroker, "append_to_runs", counted)
    monkeypatch.setattr(runner, "_EVENTS", 100)
    monkeypatch.setattr(live_run, "_EVENTS", 60)
    runs = [simulcast.start_run(lambda run: iter_of(200)) for _ in range(5)]
    for run in runs:
        assert len(told(events_of(simulcast, run))) == 201
    assert sum(sizes) == 5 * 201
    assert max(sizes) <= 99 + 60


def test_a_producer_waits_while_too_much_waits_for_the_log(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_away = True
    append = MemoryBroker.append_to_runs

    def broken(broker: MemoryBroker, asked: Any) -> list[bool]:
        if is_away:
            raise BrokerUnavailableError("away")
        return append(broker, asked)

    monkeypatch.setattr(MemoryBroker, "append_to_runs", broken)
    monkeypatch.setattr(live_run, "_MOST_WAITING", 1000)
    monkeypatch.setattr(runner, "_RETRY_SECONDS", 0.01)
    published = 0

    def produce(run: Run) -> None:
        nonlocal published
        for _ in range(50):
            run.publish("x" * 98)
            published += 1

    run = simulcast.start_run(produce)
    wait_until(lambda: published == 10, _SECONDS)
    time.sleep(0.05)
    assert published == 10
    is_away = False
    assert len(told(events_of(simulcast, run))) == 51


# Who starts it again, and how many


def test_the_same_key_joins_the_run_of_the_same_user(simulcast: Simulcast) -> None:
    first = simulcast.start_run(Steps(), user="ann", idempotency_key="k")
    again = simulcast.start_run(Steps(), user="ann", idempotency_key="k")
    other = simulcast.start_run(Steps(), user="bob", idempotency_key="k")
    assert again.id == first.id != other.id
    assert simulcast.metrics.value("runs_started_total") == 2


def test_clients_without_a_user_have_keys_of_their_own_if_they_are_named(simulcast: Simulcast) -> None:
    keys = (IdempotencyKey("k", "10.0.0.1"), IdempotencyKey("k", "10.0.0.2"), "k", IdempotencyKey("k", "10.0.0.1"))
    first, *others, again = [simulcast.start_run(Steps(), idempotency_key=key).id for key in keys]
    assert again == first
    assert len({first, *others}) == 3


@pytest.mark.parametrize("id", ["", "a b", "a:b", "x" * 65, "ä", 7])
def test_an_id_that_is_none(simulcast: Simulcast, id: Any) -> None:
    with pytest.raises(RunIdError):
        simulcast.start_run(Steps(), id=id)


def test_an_id_that_is_taken(simulcast: Simulcast) -> None:
    simulcast.start_run(Steps(), id="r")
    with pytest.raises(RunExistsError):
        simulcast.start_run(Steps(), id="r")


@limits(SIMULCAST_MAX_RUNS=3, SIMULCAST_MAX_RUNS_PER_USER=2)
def test_the_number_of_runs_at_once_is_bounded(simulcast: Simulcast) -> None:
    first = simulcast.start_run(Steps(), user="ann")
    simulcast.start_run(Steps(), user="ann", idempotency_key="k")
    with pytest.raises(TooManyRunsError, match="You already have 2"):
        simulcast.start_run(Steps(), user="ann")
    assert simulcast.start_run(Steps(), user="ann", idempotency_key="k"), "joins"
    simulcast.start_run(Steps(), user="bob")
    with pytest.raises(TooManyRunsError, match="3 runs"):
        simulcast.start_run(Steps(), user="cat")
    simulcast.cancel_run(first.id)
    simulcast.start_run(Steps(), user="ann")
    assert simulcast.metrics.value("runs_refused_total", "too_many_runs") == 2
    assert simulcast.metrics.gauges()["runs"] == 3
    assert simulcast.metrics.value("runs_ended_total", "cancelled") == 1


@pytest.mark.parametrize("type", ["complete", "failed", "cancelled"])
def test_an_ending_is_not_a_type_for_a_producer(simulcast: Simulcast, type: str) -> None:
    errors: list[Exception] = []

    def produce(run: Run) -> None:
        try:
            run.publish(1, type=type)
        except EventTypeError as error:
            errors.append(error)

    assert told(events_of(simulcast, simulcast.start_run(produce))) == [("complete", None)]
    assert errors


def test_a_caller_can_not_publish_to_a_run(simulcast: Simulcast) -> None:
    with pytest.raises(ValueError, match="reserved"):
        simulcast.publish("run:r", 1)


# Who may


def test_a_run_is_for_its_user_and_for_grants_that_name_it(
    simulcast: Simulcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = Grant("")
    simulcast.authorizer(lambda: grant)
    monkeypatch.setattr(
        simulcast, "grant", lambda: grant
    )  # one test has one app context, where the first would be kept
    run = simulcast.start_run(lambda run: None, id="r", user="ann")
    for allowed in (Grant("ann"), Grant("bob", subscribe="run:r"), Grant("bob", subscribe="run:*")):
        grant = allowed
        assert told(events_of(simulcast, run)) == [("complete", None)]
        with current_app.test_request_context():
            assert simulcast.require_run("r").status == "complete"
    for refused in (Grant(""), Grant("bob"), Grant("bob", subscribe="*"), Grant("bob", subscribe="run:x")):
        grant = refused
        with current_app.test_request_context(), pytest.raises(NoSuchRunError):
            simulcast.run_sse("r")
    nobodys = simulcast.start_run(lambda run: None)
    grant = Grant("")
    with current_app.test_request_context(), pytest.raises(NoSuchRunError):
        simulcast.run_sse(nobodys.id)
    with current_app.test_request_context():
        assert simulcast.run_ndjson("r", grant=Grant("decided by the view")).status_code == 200


@pytest.mark.parametrize("id", ["x", "", "a:b", "\ud83d", "x" * 10_000, 7, None])
def test_an_unknown_run(simulcast: Simulcast, id: Any) -> None:
    for ask in (simulcast.run_state, simulcast.cancel_run):
        with pytest.raises(NoSuchRunError):
            ask(id)


@limits(SIMULCAST_MAX_EVENT_BYTES=1000)
def test_meta_that_is_too_large_is_refused(simulcast: Simulcast) -> None:
    simulcast.start_run(Steps(), id="r", meta={"n": "x" * 900})
    with pytest.raises(EventTooLargeError, match="meta"):
        simulcast.start_run(Steps(), id="s", meta={"n": "x" * 1000})


def test_lists(simulcast: Simulcast) -> None:
    for number in range(4):
        simulcast.start_run(Steps(), id=f"r{number}", user="ann" if number % 2 else "bob")
    assert [run.id for run in simulcast.runs(user="ann")] == ["r1", "r3"]
    assert [run.id for run in simulcast.runs(after="r1", limit=1)] == ["r2"]
    assert simulcast.runs(user="") == [], "a client without a name sees no other's"
