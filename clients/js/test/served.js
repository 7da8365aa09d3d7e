// Servers that misbehave as told, and waiting.
import { createServer } from "node:http";
import { once } from "node:events";

export const EVENTS = { "Content-Type": "text/event-stream" };

/** Answers the n-th request by the n-th function, and all later ones by the last. Closed at the end of the test. */
export async function served(t, ...answers) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ url: request.url, method: request.method, headers: request.headers, atMs: Date.now() });
    answers[Math.min(requests.length, answers.length) - 1](response, request);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/`, requests };
}

/** Resolves with the first status of this state. */
export function reached(connection, state) {
  if (connection.status.state === state) return Promise.resolve(connection.status);
  return new Promise((resolve) => {
    const off = connection.onState((status) => {
      if (status.state !== state) return;
      off();
      resolve(status);
    });
  });
}

/** Waits for a condition. The test's own timeout is the deadline. */
export async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Waits until a value has not changed for a while. */
export async function settled(value, forMs = 100) {
  let last = value();
  let sinceMs = Date.now();
  await until(() => {
    if (value() !== last) [last, sinceMs] = [value(), Date.now()];
    return Date.now() - sinceMs >= forMs;
  });
  return last;
}
