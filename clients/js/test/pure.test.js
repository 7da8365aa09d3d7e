import assert from "node:assert/strict";
import test from "node:test";
import { delayMs } from "../dist/backoff.js";
import { dataOf, isAtOrBefore, splitId } from "../dist/event.js";
import { Handlers } from "../dist/handlers.js";
import { Place } from "../dist/place.js";
import { RUNNING, afterEvent } from "../dist/run.js";
import { retryAfterMs } from "../dist/asking.js";

const at = (ms, counter = 0) => `${ms}-${counter}-0011aabb`;
const event = (id, type = "message", data = {}) => ({ type, id, data, channel: undefined });

test("the wait is random below a ceiling that doubles up to 30 s", () => {
  assert.deepEqual([0, 1, 2, 9].map((failures) => delayMs({ failures }, 1)), [500, 1000, 2000, 30_000]);
  assert.equal(delayMs({ failures: 5 }, 0), 0);
});

test("the wait honours what the server says", () => {
  assert.equal(delayMs({ failures: 0, baseMs: 2000 }, 0.5), 1000);
  assert.equal(delayMs({ failures: 9, askedMs: 60_000 }, 0), 60_000);
  assert.equal(delayMs({ failures: 0, askedMs: retryAfterMs("2592000") }, 0), 300_000); // a timer of 30 days would fire at once
});

test("Retry-After is seconds or a date", () => {
  assert.equal(retryAfterMs("3"), 3000);
  assert.equal(retryAfterMs("Thu, 01 Jan 1970 00:00:09 GMT", 4000), 5000);
  assert.deepEqual([null, "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"].map((value) => retryAfterMs(value)), [0, 0, 0, 0]);
});

test("an id is split at its channel, and ids of others are not", () => {
  assert.deepEqual(splitId(`${at(5)}/user:Zo%C3%AB`), [at(5), "user:Zoë"]);
  assert.deepEqual(splitId(`${at(5)}/a/b`), [at(5), "a/b"]);
  assert.deepEqual(["7/a", at(5), "end"].map(splitId), [["7/a", undefined], [at(5), undefined], ["end", undefined]]);
});

test("positions are ordered by time and counter", () => {
  assert.ok(isAtOrBefore(at(5, 2), at(5, 2)));
  assert.ok(isAtOrBefore(at(5, 9), at(5, 10)));
  assert.ok(isAtOrBefore(at(9), at(10)));
  assert.ok(!isAtOrBefore(at(6, 0), at(5, 7)));
  assert.ok(!isAtOrBefore("1", "2"));
});

test("data is JSON, or text as it is", () => {
  assert.deepEqual(['{"id":7}', "<ul>"].map(dataOf), [{ id: 7 }, "<ul>"]);
});

test("a run is its own events: a gap, and what all listeners get, are none", () => {
  const of = (channel, type, data) => ({ ...event(at(1), type, data), channel });
  const others = [of("all", "complete", "a notice"), of("user:ann", "message", 7), event(undefined, "gap", { reason: "trimmed" })];
  const running = [of("run:1", "progress", 50), ...others].reduce(afterEvent, RUNNING);
  assert.deepEqual(running, { state: "running", progress: 50 });
  assert.deepEqual(afterEvent(running, of("run:1", "complete", 9)), { state: "complete", progress: 50, result: 9 });
});

test("a handler that is added or removed while an event is handed on is not called with it", () => {
  const handlers = new Handlers();
  const called = [];
  const waitAgain = () => {
    const off = handlers.add("type", (n) => {
      off();
      called.push(n);
      if (called.length < 99) waitAgain();
    });
  };
  waitAgain();
  let forget = () => {};
  handlers.add("type", () => forget());
  forget = handlers.add("type", () => called.push("removed"));
  handlers.call("type", 1);
  handlers.call("type", 2);
  assert.deepEqual(called, [1, 2]);
});

test("duplicates are not taken", () => {
  const place = new Place();
  const taken = [event(at(5), "connected"), event(at(6)), event(at(6)), event(at(5)), event(at(7)), event(undefined)];
  assert.deepEqual(taken.map((each) => place.take(each)), [true, true, false, false, true, true]);
  assert.equal(place.position, at(7));
});

test("after a gap, and before a snapshot, older events are new", () => {
  const place = new Place(at(9));
  const taken = [event(undefined, "gap"), event(at(3), "connected"), event(at(4))];
  assert.deepEqual(taken.map((each) => place.take(each)), [true, true, true]);
  assert.ok(place.take(event(undefined, "connected")));
  assert.equal(place.position, at(4)); // resumes from there until the snapshot has come
  assert.ok(place.take(event(at(4), "snapshot")));
});

test("on a stream of one channel each event gets its name", () => {
  for (const [channels, name] of [[["orders"], "orders"], [["orders", "stock"], undefined]]) {
    const place = new Place();
    place.take(event(at(1), "connected", { channels }));
    const order = event(at(2));
    place.take(order);
    assert.equal(order.channel, name);
  }
});
