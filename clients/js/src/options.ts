type Maybe<Value> = Value | Promise<Value>;

export interface Options {
  /** Added to the URL as `channel=…`. Leave it out if the view chooses the channels. */
  channels?: string | string[];
  /** The position to resume from; without it the stream starts as the server likes. */
  position?: string;
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

/** The URL of one try, with its channels and a new ticket. */
export async function urlOf(base: URL, { channels = [], getTicket }: Options): Promise<URL> {
  const url = new URL(base);
  for (const channel of [channels].flat()) url.searchParams.append("channel", channel);
  if (getTicket) url.searchParams.set("ticket", await getTicket());
  return url;
}

/** What `fetch` takes for one try. */
export async function initOf({ headers = {}, method, body, credentials }: Options, signal: AbortSignal): Promise<RequestInit> {
  return {
    headers: typeof headers === "function" ? await headers() : headers,
    signal,
    ...(method && { method }),
    ...(body && { body }),
    ...(credentials && { credentials }),
  };
}
