import type { Snapshot } from "./snapshot.js";
import type { Request, Transport } from "./transports/transport.js";

type Maybe<Value> = Value | Promise<Value>;

export interface Options {
  /** Added to the URL as `channel=…`. Leave it out if the view chooses the channels. */
  channels?: string | string[];
  /** Default: `auto`, which is `websocket` if there is a URL for it, and else `fetch`. */
  transport?: "auto" | "fetch" | "eventsource" | "websocket" | "ndjson";
  /** `tabs`: one connection for all tabs. */
  share?: (transport: Transport) => Transport;
  /** URL of the hub over WebSocket: `/ws` in the service. */
  websocket?: string | URL;
  /** URL of the API, for commands. Default: `/api/v1/` of the stream's host. */
  api?: string | URL;
  /** The position to resume from; without it the stream starts as the server likes. */
  position?: string;
  /** Whether a reload of the page resumes where the page was. For pages that keep what they have shown. */
  keepPosition?: boolean;
  /** Loads the page's data, at the start and after each gap. Events wait for it. */
  snapshot?: Snapshot;
  /** Asked before each try, because a ticket is spent by it. */
  getTicket?: () => Maybe<string>;
  /** A function is asked before each try, so a token can be renewed. */
  headers?: HeadersInit | (() => Maybe<HeadersInit>);
  method?: string;
  body?: string;
  credentials?: RequestCredentials;
  /** `SIMULCAST_HEARTBEAT_SECONDS` of the server, in milliseconds. Default: 15 000. */
  heartbeatMs?: number;
  /** The longest wait between two tries. Default: 30 000. */
  maxRetryMs?: number;
  /** Aborting it closes the connection. */
  signal?: AbortSignal;
}

/** A try after the end of a token can help only if the next one has another token. */
export function canRenew({ getTicket, headers }: Options): boolean {
  return !!getTicket || typeof headers === "function";
}

/** One request of a stream: its URL with the channels and a new ticket, and what says who asks. */
export async function requestOf(base: URL, channels: string[], options: Options): Promise<Request> {
  const { getTicket, method, body } = options;
  const url = new URL(base);
  for (const channel of channels) url.searchParams.append("channel", channel);
  if (getTicket) url.searchParams.set("ticket", await getTicket());
  return { url, init: { ...(await authOf(options)), ...(method && { method }), ...(body && { body }) } };
}

/** What says who asks. */
export async function authOf({ headers = {}, credentials }: Options): Promise<RequestInit> {
  return { headers: typeof headers === "function" ? await headers() : headers, ...(credentials && { credentials }) };
}
