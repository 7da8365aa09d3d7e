import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../../dist/index.js";
import { reached, until } from "../served.js";
import { RELAY_URL, SERVER_URL, publish, range, streamOf, workers } from "./server.js";

const TEXT = "é 流 🦊\r\n\u2028"; // characters of two to four bytes, and line ends, so that cuts go through them
const FAST = { maxRetryMs: 20 };

/** Listens through the relay, and collects. */
async function listener(transport) {
  const base = transport === "websocket" ? `${RELAY_URL}/ws` : streamOf(RELAY_URL);
  const connection = connect(base, { channels: "cuts", transport, ...FAST });
  const heard = { transport, connection, seen: [], losses: 0 };
  connection.onState(({ retryAt }) => (heard.losses += retryAt ? 1 : 0));
  connection.onGap((gap) => assert.fail(JSON.stringify(gap)));
  await until(() => connection.position);
  connection.on("message", ({ data }) => heard.seen.push(data));
  return heard;
}

test("10 000 events through cuts at any byte are seen once each, in order, by each transport", async () => {
  const all = await Promise.all(["fetch", "ndjson", "websocket", "eventsource"].map(listener));
  for (const start of range(0, 20)) await publish("cuts", range(start * 500, start * 500 + 500).map((n) => ({ n, text: TEXT })));
  await until(() => all.every(({ seen }) => seen.length >= 10_000 && seen.at(-1).n === 9_999));
  for (const { transport, connection, seen, losses } of all) {
    connection.close();
    assert.deepEqual(seen.map(({ n }) => n), range(0, 10_000), transport);
    assert.ok(seen.every(({ text }) => text === TEXT), transport);
    assert.ok(losses >= 50, `${transport}: ${losses}`);
  }
});

test("all workers are killed while it listens: nothing is lost or doubled", async () => {
  const connection = connect(streamOf(SERVER_URL), { channels: ["kills", "other"], ...FAST });
  const seen = [];
  connection.onEvent((event) => seen.push(event));
  await reached(connection, "live");
  for (const round of range(0, 10)) {
    if (round === 3) for (const pid of workers()) process.kill(pid, "SIGKILL");
    await publish("kills", range(round * 20, round * 20 + 20).map((n) => ({ n })));
  }
  await until(() => seen.length >= 200 && seen.at(-1).data.n === 199);
  connection.close();
  assert.deepEqual(seen.map(({ data }) => data.n), range(0, 200));
  assert.ok(seen.every(({ channel }) => channel === "kills"));
});
