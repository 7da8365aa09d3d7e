import { Connection, type EventTypes } from "./connection.js";
import type { Options } from "./options.js";
import { fetchEvents } from "./transports/fetch.js";

/** Listens to a stream until `close`. Tries again by itself after each failure that a later try can mend. */
export function connect<Types extends EventTypes = EventTypes>(url: string | URL, options: Options = {}): Connection<Types> {
  return new Connection<Types>(new URL(url, globalThis.location?.href), options, fetchEvents);
}

export type { Connection, EventTypes, Options };
export type { Gap, StreamEvent } from "./event.js";
export type { State, Status } from "./status.js";
