import assert from "node:assert/strict";
import { createServer, request as ask } from "node:http";
import { connect as dial } from "node:net";
import { once } from "node:events";
import test from "node:test";
import { AskError, connect } from "../../dist/index.js";
import { reached, until } from "../served.js";
import { SERVER_URL, TOKEN, publish, range, streamOf } from "./server.js";

const headers = { Authorization: `Bearer ${TOKEN}` };

async function getTicket() {
  const answer = await fetch(`${SERVER_URL}/api/v1/tickets`, { method: "POST", headers });
  return (await answer.json()).ticket;
}

const WAYS = {
  fetch: (options) => connect(streamOf(SERVER_URL), { headers, ...options }),
  // A browser's WebSocket sends no headers; the commands go over it, too.
  websocket: (options) => connect(`${SERVER_URL}/ws`, { transport: "websocket", getTicket, heartbeatMs: 200, ...options }),
};

for (const [name, open] of Object.entries(WAYS)) {
  test(`${name}: what is published once arrives once, and stands in history; members are listed`, async (t) => {
    const room = `room.${name}`;
    const connection = open({ channels: room });
    t.after(() => connection.close());
    const seen = [];
    connection.on("said", ({ data, id, channel }) => seen.push({ data, id, channel }));
    await reached(connection, "live");
    const id = await connection.publish(room, { text: "流" }, { type: "said", key: "k1" });
    assert.equal(await connection.publish(room, { text: "流" }, { type: "said", key: "k1" }), id);
    await connection.publish(room, 2, { type: "said" });
    await until(() => seen.length === 2);
    assert.deepEqual(seen[0], { data: { text: "流" }, id, channel: room });
    const page = await connection.history(room, { after: id });
    assert.deepEqual(page.events.map(({ data }) => data), [2]);
    assert.ok(parseInt(page.position, 10) >= parseInt(seen[1].id, 10), "the service publishes, too");
    let members = []; // the register is some milliseconds behind
    while (!members.length) ({ members } = await connection.presence(room));
    assert.deepEqual(members.map(({ member }) => member), ["ann"]);
    await assert.rejects(connection.publish(room, 3, { key: "k1" }), (error) => error instanceof AskError && error.code === "idempotency_conflict");
    await assert.rejects(connection.publish("user:bob", 3), AskError);
  });

  test(`${name}: channels come and go, and the others miss nothing`, async (t) => {
    const connection = open({ channels: `steady.${name}` });
    t.after(() => connection.close());
    const seen = [];
    connection.on("message", ({ data, channel }) => seen.push(channel.startsWith("steady") ? data.n : `${channel}: ${data.n}`));
    await reached(connection, "live");
    let sent = 0;
    const send = async () => publish(`steady.${name}`, [{ n: sent++ }]);
    for (const round of range(0, 5)) {
      const other = `other.${name}.${round}`;
      connection.add(other);
      await send();
      await send();
      await publish(other, [{ n: round }]);
      await until(() => seen.includes(`${other}: ${round}`));
      connection.remove(other);
      await publish(other, [{ n: "gone" }]);
      await send();
    }
    await until(() => seen.includes(sent - 1));
    assert.deepEqual(seen.filter((each) => typeof each === "number"), range(0, sent));
    assert.ok(!seen.some((each) => `${each}`.includes("gone")));
  });
}

test("websocket: its pings move the position of a quiet channel", async (t) => {
  const connection = WAYS.websocket({ channels: "quiet" });
  t.after(() => connection.close());
  await reached(connection, "live");
  const before = connection.position;
  await publish("elsewhere", [{ n: 1 }]);
  await until(() => connection.position !== before);
  assert.equal(connection.status.state, "live");
});

test("websocket: a loop that is 10 000 events behind ends the connection, and misses nothing", async (t) => {
  const connection = WAYS.websocket({ channels: "flood", maxRetryMs: 20 });
  t.after(() => connection.close());
  const loop = connection[Symbol.asyncIterator]();
  await reached(connection, "live");
  const slow = new Promise((resolve) => connection.onState(({ reason }) => reason === "slow" && resolve()));
  for (const start of range(0, 12)) await publish("flood", range(start * 1000, start * 1000 + 1000).map((n) => ({ n })));
  const ask = () => loop.next().then(({ value }) => value.data.n);
  const first = await ask();
  const rest = [];
  while (rest.at(-1) !== 11_999) rest.push(await ask());
  await slow;
  assert.deepEqual([first, ...rest], range(0, 12_000));
});

/** A proxy that hands answers on as `hand` says, and WebSockets if `isOpen` says so. */
async function proxy(t, hand, isOpen = () => false) {
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    const onward = ask(`${SERVER_URL}${url}`, { method, headers }, (answer) => hand(answer, response));
    response.on("close", () => onward.destroy());
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("upgrade", ({ url, rawHeaders }, socket) => {
    if (!isOpen()) return socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    const onward = dial(new URL(SERVER_URL).port, "127.0.0.1");
    const lines = rawHeaders.map((text, n) => text + (n % 2 ? "\r\n" : ": ")).join("");
    onward.write(`GET ${url} HTTP/1.1\r\n${lines}\r\n`);
    for (const [from, to] of [[socket, onward], [onward, socket]]) from.pipe(to).on("error", () => from.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

test("auto goes from a WebSocket that a proxy refuses to events, and says so", async (t) => {
  const url = await proxy(t, (answer, response) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
  const connection = connect(streamOf(url), { websocket: "/ws", channels: "auto", getTicket, maxRetryMs: 20 });
  t.after(() => connection.close());
  assert.equal((await reached(connection, "live")).reason, "websocket_failed");
  const event = new Promise((resolve) => connection.on("message", resolve));
  await publish("auto", [{ n: 7 }]);
  assert.equal((await event).data.n, 7);
});

test("auto keeps a WebSocket that has worked, also if the next one fails after other channels were wanted", async (t) => {
  let isOpen = true;
  const pass = (answer, response) => answer.pipe(response.writeHead(answer.statusCode, answer.headers));
  const url = await proxy(t, pass, () => isOpen);
  const connection = connect(streamOf(url), { websocket: "/ws", channels: "kept", getTicket, maxRetryMs: 20 });
  t.after(() => connection.close());
  assert.equal((await reached(connection, "live")).reason, "");
  isOpen = false;
  connection.add("kept.too");
  await reached(connection, "reconnecting");
  isOpen = true;
  assert.equal((await reached(connection, "live")).reason, "");
});

test("a proxy that holds events back is noticed by the missing heartbeat, and told", async (t) => {
  const url = await proxy(t, (answer, response) => {
    response.writeHead(answer.statusCode, answer.headers).flushHeaders();
    answer.resume(); // and keeps them
  });
  const connection = connect(streamOf(url), { channels: "auto", headers, heartbeatMs: 100 });
  t.after(() => connection.close());
  assert.equal((await reached(connection, "reconnecting")).reason, "buffered");
});
