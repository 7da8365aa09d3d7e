import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../dist/index.js";
import { EVENTS, reached, served, settled, until } from "./served.js";

const FAST = { maxRetryMs: 5 };
const at = (ms) => `${ms}-0-0011aabb`;
const stream = (text) => (response) => response.writeHead(200, EVENTS).write(text);
const cut = (text) => (response) => response.writeHead(200, EVENTS).write(text, () => response.destroy());
const status = (code, headers = {}, body = "") => (response) => response.writeHead(code, headers).end(body);
const connected = (ms) => `id: ${at(ms)}\nevent: connected\ndata: {"channels":["a"]}\n\n`;
const message = (ms) => `id: ${at(ms)}\ndata: ${ms}\n\n`;

function listen(t, url, options) {
  const connection = connect(url, { ...FAST, ...options });
  t.after(() => connection.close());
  const states = [];
  connection.onState(({ state, reason }) => states.push(reason ? `${state}: ${reason}` : state));
  return { connection, states };
}

test("a lost connection resumes from its position, and drops duplicates", async (t) => {
  const { url, requests } = await served(t, cut(connected(1) + message(2)), stream(connected(2) + message(2) + message(3)));
  const { connection, states } = listen(t, url);
  const seen = [];
  for await (const event of connection) {
    seen.push([event.data, event.channel]);
    if (event.data === 3) break;
  }
  assert.deepEqual(seen, [[2, "a"], [3, "a"]]);
  assert.equal(requests[1].headers["last-event-id"], at(2));
  assert.deepEqual(states.filter((state, n) => state !== states[n - 1]), ["live", "reconnecting: lost", "live"]);
});

test("headers, method, body and channels reach the server; a ticket and a token are asked for again", async (t) => {
  const { url, requests } = await served(t, cut(connected(1)), stream(connected(1) + message(2)));
  let asked = 0;
  const { connection } = listen(t, `${url}?x=1`, {
    channels: ["a", "b"],
    method: "POST",
    body: "{}",
    headers: () => ({ Authorization: `Bearer ${asked}` }),
    getTicket: async () => `t${++asked}`,
  });
  await new Promise((resolve) => connection.on("message", resolve));
  assert.deepEqual(requests.map(({ url }) => url), ["/?x=1&channel=a&channel=b&ticket=t1", "/?x=1&channel=a&channel=b&ticket=t2"]);
  assert.deepEqual(requests.map(({ headers, method }) => [headers.authorization, method]), [["Bearer 1", "POST"], ["Bearer 2", "POST"]]);
});

const closedBy = (reason, reconnect) => `event: closed\ndata: ${JSON.stringify({ reason, reconnect })}\n\n`;
const FINAL = {
  "204": [status(204), "finished"],
  "401": [status(401), "unauthorized"],
  "403": [status(403), "forbidden"],
  "another mistake of the client, by its code": [status(400, {}, '{"error":{"code":"invalid_channel"}}'), "invalid_channel"],
  "a mistake without a code": [status(404, {}, "no"), "http_404"],
  "a page": [status(200, { "Content-Type": "text/html" }, "<p>Log in"), "not_a_stream"],
  "reconnect: false": [stream(connected(1) + closedBy("revoked", false)), "revoked"],
};
for (const [name, [answer, reason]] of Object.entries(FINAL)) {
  test(`it stops after ${name}`, async (t) => {
    const { url, requests } = await served(t, answer);
    const { connection } = listen(t, url);
    assert.equal((await reached(connection, "closed")).reason, reason);
    for await (const event of connection) assert.fail(event);
    assert.equal(requests.length, 1);
  });
}

test("an expired token is renewed if it can be", async (t) => {
  const { url } = await served(t, stream(connected(1) + closedBy("expired", false)), stream(connected(1)));
  const { connection, states } = listen(t, url, { headers: () => ({}) });
  await reached(connection, "reconnecting");
  await reached(connection, "live");
  assert.ok(states.includes("reconnecting: expired"));
});

test("Retry-After and the retry of closed are waited for", async (t) => {
  const { url, requests } = await served(
    t,
    status(503, { "Retry-After": "1" }),
    stream(`retry: 300\n${connected(1)}${closedBy("draining", true)}`),
    stream(connected(1)),
  );
  const { states } = listen(t, url);
  await until(() => requests.length === 3);
  const [first, second, third] = requests.map(({ atMs }) => atMs);
  assert.ok(second - first >= 995, `${second - first}`);
  assert.ok(third - second >= 295, `${third - second}`);
  assert.ok(states.includes("reconnecting: http_503") && states.includes("reconnecting: draining"), `${states}`);
});

test("a silent connection is stale, then tried again; a comment is a sign of life", async (t) => {
  let comments = 0;
  const { url, requests } = await served(t, stream(connected(1)), (response) => {
    stream(connected(1))(response);
    const timer = setInterval(() => response.write(":\n", () => comments++), 100);
    response.on("close", () => clearInterval(timer));
  });
  const { connection, states } = listen(t, url, { heartbeatMs: 400 });
  await reached(connection, "stale");
  await reached(connection, "reconnecting");
  await reached(connection, "live");
  assert.deepEqual(states.slice(0, 3), ["live", "stale: silent", "reconnecting: silent"]);
  assert.ok(requests[1].atMs - requests[0].atMs >= 995);
  const before = states.length;
  await until(() => comments === 13); // more than three heartbeats
  assert.equal(states.length, before);
});

test("after some tries in vain it is offline; wake tries at once", async (t) => {
  const { url, requests } = await served(t, status(500));
  const { connection } = listen(t, url, { maxRetryMs: 20 });
  assert.equal((await reached(connection, "offline")).reason, "http_500");
  assert.ok(requests.length > 3);
  connection.close();
  const far = await served(t, status(503, { "Retry-After": "60" }), stream(connected(1)));
  const second = listen(t, far.url).connection;
  await reached(second, "reconnecting");
  second.wake();
  await reached(second, "live");
});

test("a slow loop holds the server back", async (t) => {
  let count = 1;
  const text = () => Array.from({ length: 200 }, () => message(++count) + `: ${"x".repeat(20_000)}\n`).join("");
  let taken = 0; // 4 MB each, of 400 MB
  const { url } = await served(t, (response) => {
    stream(connected(1))(response);
    const push = () => {
      while (taken < 100 && response.write(text())) taken += 1;
    };
    response.on("drain", () => (taken++, push()));
    push();
  });
  const { connection } = listen(t, url);
  const loop = connection[Symbol.asyncIterator]();
  await loop.next();
  assert.ok((await settled(() => taken)) < 20, `${taken}`);
  await loop.return();
});

test("a publish without an answer is repeated with its key, as long as the service knows the key", async (t) => {
  const keys = [];
  const { url } = await served(t, (response, request) => {
    if (request.method === "GET") return stream(connected(1))(response);
    request.on("data", (body) => keys.push(JSON.parse(body).idempotency_key));
    request.on("end", () => response.writeHead(201, { "Content-Length": 99 }).write("{", () => response.destroy()));
  });
  const { connection } = listen(t, url);
  const { now } = Date;
  let pastMs = 0;
  t.mock.method(Date, "now", () => now() + pastMs);
  const publishing = connection.publish("a", 1, { key: "k" });
  await until(() => keys.length === 2);
  pastMs = 240_000;
  await assert.rejects(publishing, { code: "unreachable" });
  assert.deepEqual(new Set(keys), new Set(["k"]));
  assert.ok(keys.length <= 3);
});

/** A connection to a server that answers each publish as told, and the times of the publishes. */
async function publisher(t, answer) {
  const sent = [];
  const { url } = await served(t, (response, request) => {
    if (request.method === "GET") return stream(connected(1))(response);
    sent.push(Date.now());
    request.resume().on("end", () => answer(response));
  });
  return { connection: listen(t, url).connection, sent };
}

test("a publish is not repeated after the time in which the service knows its key", async (t) => {
  const { connection, sent } = await publisher(t, status(503, { "Retry-After": "1" }));
  await assert.rejects(connection.publish("a", 1, { tryForMs: 900 }), { status: 503 });
  assert.equal(sent.length, 1);
});

test("a machine that slept while a publish waited does not repeat it", async (t) => {
  const { connection, sent } = await publisher(t, status(503, { "Retry-After": "1" }));
  const { now } = Date;
  let sleptMs = 0;
  t.mock.method(Date, "now", () => now() + sleptMs);
  const publishing = connection.publish("a", 1);
  await until(() => sent.length === 1);
  await settled(() => sent.length); // it has the answer, and waits
  sleptMs = 3_600_000;
  await assert.rejects(publishing, { status: 503 });
  assert.equal(sent.length, 1);
});

test("a ticket that does not come is asked for again", async (t) => {
  const { url, requests } = await served(t, stream(connected(1)));
  let asked = 0;
  const getTicket = () => (++asked === 1 ? new Promise(() => {}) : "t2");
  const { connection, states } = listen(t, url, { getTicket, heartbeatMs: 40 });
  await reached(connection, "reconnecting");
  await reached(connection, "live");
  assert.equal(requests[0].url, "/?ticket=t2");
  assert.equal(states[0], "reconnecting: silent");
});

test("a handler that throws harms no other", async (t) => {
  const { url } = await served(t, stream(connected(1) + message(2)));
  const { connection } = listen(t, url);
  const told = new Promise((resolve) => (globalThis.reportError = resolve)); // browsers have it
  connection.on("message", () => {
    throw new Error("a bug of the page");
  });
  await new Promise((resolve) => connection.on("message", resolve));
  assert.equal((await told).message, "a bug of the page");
  assert.equal(connection.status.state, "live");
});

test("gaps are handed on, and a closed connection is silent", async (t) => {
  const gap = { reason: "trimmed", channels: ["a"], from: at(1), to: at(2) };
  const { url } = await served(t, stream(`event: gap\ndata: ${JSON.stringify(gap)}\n\n${connected(1)}`));
  const abort = new AbortController();
  const { connection, states } = listen(t, url, { signal: abort.signal });
  assert.deepEqual(await new Promise((resolve) => connection.onGap(resolve)), gap);
  abort.abort();
  assert.equal(states.at(-1), "closed: closed");
  connection.wake();
  assert.equal(connection.status.state, "closed");
});
