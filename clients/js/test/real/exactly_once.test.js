import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../../dist/index.js";
import { reached, until } from "../served.js";
import { RELAY_URL, SERVER_URL, publish, range, streamOf, workers } from "./server.js";

const TEXT = "é 流 🦊\r\n\u2028"; // characters of two to four bytes, and line ends, so that cuts go through them
const FAST = { maxRetryMs: 20 };

test("10 000 events through cuts at any byte are seen once each, in order", async () => {
  const connection = connect(streamOf(RELAY_URL), { channels: "cuts", ...FAST });
  let losses = 0;
  connection.onState(({ state, retryAt }) => (losses += retryAt && state !== "live" ? 1 : 0));
  connection.onGap((gap) => assert.fail(JSON.stringify(gap)));
  await until(() => connection.position);
  const seen = [];
  connection.on("message", ({ data }) => seen.push(data));
  for (const start of range(0, 20)) await publish("cuts", range(start * 500, start * 500 + 500).map((n) => ({ n, text: TEXT })));
  await until(() => seen.length >= 10_000 && seen.at(-1).n === 9_999);
  connection.close();
  assert.deepEqual(seen.map(({ n }) => n), range(0, 10_000));
  assert.ok(seen.every(({ text }) => text === TEXT));
  assert.ok(losses >= 50, `${losses}`);
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
