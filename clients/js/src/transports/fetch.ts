/** Server-sent events, and lines of JSON, by `fetch`: with headers, POST and abort, in browsers and in Node. */

import { type End, LOST } from "../ends.js";
import { type StreamEvent, dataOf, splitId } from "../event.js";
import { Lines } from "../lines.js";
import { type Block, Parser } from "../parse.js";
import { type Transport, type Try, refusal } from "./transport.js";

export const fetchEvents: Transport = async (attempt) => {
  const parser = new Parser();
  return read(attempt, "text/event-stream", (bytes) => {
    const blocks = parser.feed(bytes);
    if (parser.retryMs) attempt.onRetry(parser.retryMs);
    return blocks.map(eventOf);
  });
};

/** A line is an event already, with its channel and time. An empty line keeps the connection alive. */
export const fetchLines: Transport = async (attempt) => {
  const lines = new Lines();
  return read(attempt, "application/x-ndjson", (bytes) => lines.feed(bytes).filter(Boolean).map((line) => JSON.parse(line)));
};

async function read(attempt: Try, type: string, feed: (bytes: Uint8Array) => StreamEvent[]): Promise<End> {
  const { url, init } = await attempt.request();
  const { signal } = attempt;
  const headers = new Headers(init.headers);
  headers.set("Accept", type);
  if (attempt.position) headers.set("Last-Event-ID", attempt.position);
  const response = await fetch(url, { cache: "no-store", ...init, signal, headers });
  const given = response.headers.get("Content-Type") ?? "";
  // On plain HTTP browsers take the beginning of a head, which was cut, for a head.
  if (response.status <= 200 && type.startsWith(given) && type !== given) return LOST;
  if (response.status !== 200 || !given.startsWith(type)) return refusal(response);
  attempt.onOpen();
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return LOST;
    const events = feed(value);
    attempt.onAlive();
    for (const event of events) attempt.onEvent(event);
    await attempt.room();
  }
}

function eventOf({ type, data, id }: Block): StreamEvent {
  const [position, channel] = id === undefined ? [id, undefined] : splitId(id);
  return { type, data: dataOf(data), id: position, channel };
}
