export const BASE_MS = 500;
export const MAX_MS = 30_000;

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
  return askedMs + random * Math.min(maxMs, baseMs * 2 ** failures);
}
