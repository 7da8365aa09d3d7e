/** The browser's own EventSource, for one try: it would reconnect by itself, but at a fixed interval, and without a state. */

import { dataOf, splitId } from "../event.js";
import { LOST, type Transport } from "./transport.js";

export const eventSource: Transport = (attempt) =>
  new Promise((resolve) => {
    if (attempt.position) attempt.url.searchParams.set("last_event_id", attempt.position);
    const source = new EventSource(attempt.url, { withCredentials: attempt.init.credentials === "include" });
    const end = () => {
      source.close();
      resolve(LOST);
    };
    source.onopen = attempt.onOpen;
    source.onerror = end;
    attempt.init.signal.addEventListener("abort", end);
    let last = "";
    attempt.eachType((type) =>
      source.addEventListener(type, ({ data, lastEventId }) => {
        attempt.onAlive();
        // A browser repeats the last id for events without one.
        const [id, channel] = lastEventId === last ? [undefined, undefined] : splitId(lastEventId);
        last = lastEventId;
        attempt.onEvent({ type, data: dataOf(data), id, channel });
      }),
    );
  });
