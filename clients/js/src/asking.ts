/** Commands to the service, over HTTP. A WebSocket takes the same. */

export type Command = { type: "publish" | "history" | "presence"; channel: string } & Record<string, unknown>;
export type Ask = (command: Command) => Promise<any>;

/** A command without an answer for this time has failed. */
const ANSWER_MS = 30_000;

/** The service said no: `code` is its word for why. A status of 0 means that there was no answer. */
export class AskError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly retryAfterMs = 0,
  ) {
    super(message);
    this.name = "AskError";
  }

  /** Whether the same command might succeed later. With an idempotency key it is done once, even if it was done already. */
  get isWorthARetry(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function lost(error: unknown): never {
  throw new AskError("unreachable", String(error), 0);
}

/** Asks over HTTP. `api` is the URL of `/api/v1/`; `makeInit` is called for each request. */
export function askByHttp(api: URL, makeInit: () => Promise<RequestInit>): Ask {
  return async (command) => {
    const init = { ...(await makeInit().catch(lost)), signal: AbortSignal.timeout(ANSWER_MS) };
    const response = await fetch(new Request(requestUrl(api, command), { ...init, ...bodyOf(command, init.headers) })).catch(lost);
    if (!response.ok) throw await errorOf(response);
    const result = await response.json().catch(lost);
    return command.type === "publish" ? { position: result.positions[0] } : result;
  };
}

function requestUrl(api: URL, { type, channel, after = "", limit = 100 }: Command): URL {
  if (type === "publish") return new URL("events", api);
  return new URL(`channels/${encodeURIComponent(channel)}/${type}?${new URLSearchParams({ after, limit } as any)}`, api);
}

function bodyOf({ type, event, ...fields }: Command, given?: HeadersInit): RequestInit {
  if (type !== "publish") return {};
  const headers = new Headers(given);
  headers.set("Content-Type", "application/json");
  return { method: "POST", headers, body: JSON.stringify({ ...fields, type: event }) };
}

/** Reads an answer that refuses. */
export async function errorOf(response: Response): Promise<AskError> {
  const { status, headers } = response;
  const { error } = (await response.json().catch(() => undefined)) ?? {};
  return new AskError(error?.code ?? `http_${status}`, error?.message ?? "", status, retryAfterMs(headers.get("Retry-After")));
}

/** Seconds, or a date. */
export function retryAfterMs(value: string | null, now = Date.now()): number {
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Math.max(0, ms || 0);
}
