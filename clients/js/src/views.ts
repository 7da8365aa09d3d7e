/** For pages that show many events: all of a moment at once, and a list that does not grow for ever. */

import type { Connection } from "./connection.js";
import type { StreamEvent } from "./event.js";

/** A hidden page paints nothing, but what waits for it must not grow. */
const HIDDEN_MS = 1_000;

/** Calls `handler` with all events since the last call: at most every `ms`, or with each frame that the browser paints. */
export function batch(connection: Connection, handler: (events: StreamEvent[]) => void, ms?: number): () => void {
  let waiting: StreamEvent[] = [];
  let timer: ReturnType<typeof setTimeout>;
  let frame: number | undefined;
  const hand = () => {
    clearTimeout(timer);
    if (frame) cancelAnimationFrame(frame);
    const events = waiting;
    waiting = [];
    if (events.length) handler(events);
  };
  return connection.onEvent((event) => {
    if (waiting.push(event) > 1) return;
    timer = setTimeout(hand, ms ?? HIDDEN_MS);
    if (ms === undefined) frame = requestAnimationFrame(hand);
  });
}

/** Calls `handler` with the last `count` events, the newest last, in a new array each time. At most once a frame, or every `ms`. */
export function last(connection: Connection, count: number, handler: (events: StreamEvent[]) => void, ms?: number): () => void {
  let all: StreamEvent[] = [];
  return batch(connection, (events) => handler((all = [...all, ...events].slice(-count))), ms);
}
