import { askByHttp } from "./asking.js";
import { Connection, type EventTypes } from "./connection.js";
import { keptPosition } from "./keep.js";
import { type Options, authOf } from "./options.js";
import { eventSource } from "./transports/eventsource.js";
import { fetchEvents, fetchLines } from "./transports/fetch.js";
import { webSocket } from "./transports/websocket.js";
import type { Way } from "./ways.js";

const TRANSPORTS = { fetch: fetchEvents, eventsource: eventSource, websocket: webSocket, ndjson: fetchLines };

const GLOBALS: Record<string, string> = { eventsource: "EventSource", websocket: "WebSocket" };

/** Listens to a stream until `close`. Tries again by itself after each failure that a later try can mend. */
export function connect<Types extends EventTypes = EventTypes>(url: string | URL, options: Options = {}): Connection<Types> {
  const base = absolute(url);
  const api = absolute(options.api ?? new URL("/api/v1/", base));
  const key = options.keepPosition ? `simulcast ${base} ${options.channels ?? ""}` : undefined;
  const position = options.position ?? (key && keptPosition(key)) ?? "";
  return new Connection<Types>(waysOf(base, options), { ...options, position }, askByHttp(api, () => authOf(options)), key);
}

function waysOf(url: URL, { transport = "auto", websocket }: Options): Way[] {
  const missing = GLOBALS[transport];
  if (missing && !(missing in globalThis)) throw new TypeError(`There is no ${missing} here. Choose another transport.`);
  if (transport !== "auto") return [{ transport: TRANSPORTS[transport], url, failure: "" }];
  const events = { transport: fetchEvents, url, failure: "stream_failed" };
  return websocket ? [{ transport: webSocket, url: absolute(websocket, url), failure: "websocket_failed" }, events] : [events];
}

function absolute(url: string | URL, base: string | URL | undefined = globalThis.location?.href): URL {
  return new URL(url, base);
}

export { AskError } from "./asking.js";
export type { Connection, EventTypes, HistoryPage, MembersPage } from "./connection.js";
export type { Gap, StreamEvent } from "./event.js";
export type { Options };
export type { State, Status } from "./status.js";
