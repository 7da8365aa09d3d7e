// The real server that tests/clients started, and how to publish to it whatever happens to its workers.
import { readFileSync } from "node:fs";

export const { SERVER_URL, RELAY_URL, TOKEN, PUBLISH_KEY, MASTER_PID } = process.env;

export const streamOf = (base) => `${base}/api/v1/stream`;

/** Publishes each of `data`, once: with keys, so it can try again. */
export async function publish(channel, data, type = "message") {
  const events = data.map((each, n) => ({ channel, type, data: each, idempotency_key: `${channel}-${each.n ?? n}` }));
  const headers = { Authorization: `Bearer ${PUBLISH_KEY}`, "Content-Type": "application/json" };
  for (;;) {
    try {
      const answer = await fetch(`${SERVER_URL}/api/v1/events`, { method: "POST", headers, body: JSON.stringify(events) });
      if (answer.status === 201) return (await answer.json()).positions;
      if (answer.status < 500) throw new RangeError(await answer.text());
    } catch (error) {
      if (error instanceof RangeError) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const workers = () =>
  readFileSync(`/proc/${MASTER_PID}/task/${MASTER_PID}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);

export const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);
