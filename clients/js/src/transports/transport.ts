/** What a connection and its transports say to each other. A transport makes one try, and tells how it ended. */

import type { StreamEvent } from "../event.js";

/** Everything that a transport needs for one try. */
export interface Try {
  url: URL;
  /** The position to resume from, or empty. */
  position: string;
  init: RequestInit;
  /** Something came, if only a comment. */
  onAlive(): void;
  onEvent(event: StreamEvent): void;
  onRetry(retryMs: number): void;
  /** Waits while the consumer has too much to do. */
  room(): Promise<void>;
}

export interface End {
  reason: string;
  reconnect: boolean;
  /** Milliseconds that the server asked the client to wait. */
  askedMs?: number;
}

export type Transport = (attempt: Try) => Promise<End>;

export const LOST: End = { reason: "lost", reconnect: true };

const WORTH_A_RETRY = new Set([408, 425, 429]);
const NAMES: Record<number, string> = { 204: "finished", 401: "unauthorized", 403: "forbidden" };

/** Reads an answer that is no stream: whether a later try can help, and when. */
export async function refusal(response: Response): Promise<End> {
  const { status, headers } = response;
  const reconnect = status >= 500 || WORTH_A_RETRY.has(status);
  const code = NAMES[status] ?? (await errorCode(response)) ?? (response.ok ? "not_a_stream" : `http_${status}`);
  return { reason: code, reconnect, askedMs: retryAfterMs(headers.get("Retry-After")) };
}

async function errorCode(response: Response): Promise<string | undefined> {
  const body = await response.json().catch(() => undefined);
  return body?.error?.code;
}

/** Seconds, or a date. */
export function retryAfterMs(value: string | null, now = Date.now()): number {
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Math.max(0, ms || 0);
}
