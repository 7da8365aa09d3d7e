/** Server-sent events by `fetch`: with headers, POST and abort, in browsers and in Node. */

import { dataOf, splitId } from "../event.js";
import { type Block, Parser } from "../parse.js";
import { LOST, type Transport, refusal } from "./transport.js";

const TYPE = "text/event-stream";

export const fetchEvents: Transport = async (attempt) => {
  const headers = new Headers(attempt.init.headers);
  headers.set("Accept", TYPE);
  if (attempt.position) headers.set("Last-Event-ID", attempt.position);
  const response = await fetch(attempt.url, { cache: "no-store", ...attempt.init, headers });
  if (response.status !== 200 || !response.headers.get("Content-Type")?.startsWith(TYPE)) return refusal(response);
  attempt.onAlive();
  const reader = response.body!.getReader();
  const parser = new Parser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return LOST;
    const blocks = parser.feed(value);
    attempt.onAlive();
    if (parser.retryMs) attempt.onRetry(parser.retryMs);
    for (const block of blocks) attempt.onEvent(eventOf(block));
    await attempt.room();
  }
};

function eventOf({ type, data, id }: Block) {
  const [position, channel] = id === undefined ? [id, undefined] : splitId(id);
  return { type, data: dataOf(data), id: position, channel };
}
