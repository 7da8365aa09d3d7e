/** The browser's own EventSource, for one try: it would reconnect by itself, but at a fixed interval, and without a state. */

import { LOST } from "../ends.js";
import { dataOf, splitId } from "../event.js";
import type { Transport } from "./transport.js";

export const eventSource: Transport = async (attempt) => {
  const { url, init } = await attempt.request();
  if (attempt.position) url.searchParams.set("last_event_id", attempt.position);
  return new Promise((resolve) => {
    const source = new EventSource(url, { withCredentials: init.credentials === "include" });
    const end = () => {
      source.close();
      resolve(LOST);
    };
    source.onopen = attempt.onOpen;
    source.onerror = end;
    attempt.signal.addEventListener("abort", end);
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
};
