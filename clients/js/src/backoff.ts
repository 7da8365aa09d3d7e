export const BASE_MS = 500;
export const MAX_MS = 30_000;
/** A wrong header of a server must not stop a client for longer. A timer of more than 24 days would fire at once. */
const MAX_ASKED_MS = 300_000;

export interface Backoff {
  /** What the server asked for: the `retry:` of its `closed`, or `Retry-After`. */
  askedMs?: number;
  /** The `retry:` of the stream. */
  baseMs?: number;
  maxMs?: number;
  failures: number;
}

/** Milliseconds to wait. Full jitter: after a restart thousands of clients come back spread over the whole time. */
export function delayMs({ askedMs = 0, baseMs = BASE_MS, maxMs = MAX_MS, failures }: Backoff, random = Math.random()): number {
  return Math.min(askedMs, MAX_ASKED_MS) + random * Math.min(maxMs, baseMs * 2 ** failures);
}
