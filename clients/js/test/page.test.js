// What a page does with events: it loads its data, and shows many of them at once.
import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../dist/index.js";
import { batch, last } from "../dist/views.js";
import { EVENTS, served, settled, until } from "./served.js";

const at = (ms) => `${ms}-0-0011aabb`;
const connected = (ms) => `id: ${at(ms)}\nevent: connected\ndata: {"channels":["a"]}\n\n`;
const message = (ms) => `id: ${at(ms)}\ndata: ${ms}\n\n`;
const gap = `event: gap\ndata: {"reason":"trimmed"}\n\n`;

/** A stream whose text the test chooses as it goes. */
async function told(t, options) {
  let stream;
  const { url } = await served(t, (response) => (stream = response).writeHead(200, EVENTS).write(connected(1)));
  const connection = connect(url, options);
  t.after(() => connection.close());
  await until(() => stream);
  const seen = [];
  connection.on("message", ({ data }) => seen.push(data));
  return { connection, seen, tell: (...texts) => stream.write(texts.join("")) };
}

test("events wait for the snapshot; those that it has are not shown again", async (t) => {
  const loads = [];
  const { seen, tell } = await told(t, { snapshot: () => new Promise((resolve, reject) => loads.push({ resolve, reject })) });
  await until(() => loads.length === 1);
  tell(message(2), message(3));
  assert.deepEqual(await settled(() => seen.length), 0);
  loads[0].resolve(at(2));
  await until(() => seen.length === 1);
  tell(message(4), gap, message(5));
  await until(() => loads.length === 2);
  assert.deepEqual(seen, [3, 4]);
  loads[1].reject(new Error("the network")); // what came before the next try is part of its result
  await until(() => loads.length === 3);
  tell(message(6));
  await settled(() => seen.length);
  loads[2].resolve();
  await until(() => seen.length === 3);
  assert.deepEqual(seen, [3, 4, 6]);
});

test("a page that closes its connection while it loads gets nothing afterwards, and stops loading", async (t) => {
  const loads = [];
  const { connection, seen, tell } = await told(t, { snapshot: () => new Promise((resolve, reject) => loads.push({ resolve, reject })) });
  await until(() => loads.length === 1);
  tell(message(2));
  await until(() => connection.position === at(2));
  connection.close();
  loads[0].resolve(at(1));
  assert.equal(await settled(() => seen.length), 0);
});

test("a snapshot that fails is not asked for again once the connection is closed", async (t) => {
  let loads = 0;
  const { connection } = await told(t, { snapshot: () => Promise.reject(new Error(`${++loads}: log in`)) });
  await until(() => loads === 1);
  connection.close();
  assert.equal(await settled(() => loads, 600), 1); // the first wait is 500 ms at most
});

test("a hidden page, which paints nothing, keeps one frame waiting at most", async (t) => {
  const waiting = new Set();
  globalThis.requestAnimationFrame = (frame) => (waiting.add(frame), frame);
  globalThis.cancelAnimationFrame = (frame) => waiting.delete(frame);
  const { connection, tell } = await told(t, {});
  const batches = [];
  batch(connection, (events) => batches.push(events.length));
  for (const n of [1, 2]) {
    tell(message(n + 1));
    await until(() => batches.length === n);
    assert.equal(waiting.size, 0);
  }
});

test("with a position there is no snapshot before a gap", async (t) => {
  let loads = 0;
  const { seen, tell } = await told(t, { position: at(1), snapshot: async () => void loads++ });
  tell(message(2));
  await until(() => seen.length === 1);
  assert.equal(loads, 0);
  tell(gap);
  await until(() => loads === 1);
});

test("a batch has all events of a moment; the last are bounded", async (t) => {
  const { connection, tell } = await told(t, {});
  const batches = [];
  const shown = [];
  batch(connection, (events) => batches.push(events.map(({ data }) => data)), 20);
  const stop = last(connection, 3, (events) => shown.push(events.map(({ data }) => data)), 20);
  tell(...[2, 3, 4, 5, 6].map(message));
  await until(() => shown.length === 1);
  tell(message(7));
  await until(() => shown.length === 2);
  assert.deepEqual(batches, [[2, 3, 4, 5, 6], [7]]);
  assert.deepEqual(shown, [[4, 5, 6], [5, 6, 7]]);
  stop();
  tell(message(8));
  await until(() => batches.length === 3);
  assert.equal(shown.length, 2);
});
