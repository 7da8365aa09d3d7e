/** What a stream and its transports say to each other. A transport makes one try, and tells how it ended. */

import type { Ask } from "../asking.js";
import { errorOf } from "../asking.js";
import type { End } from "../ends.js";
import type { StreamEvent } from "../event.js";

/** What one request says: where to, and who asks. */
export interface Request {
  url: URL;
  init: RequestInit;
}

/** Everything that a transport needs for one try. */
export interface Try {
  /** The same for tries of the same stream. */
  name: string;
  /** Makes the request, with a ticket or token of now. */
  request(): Promise<Request>;
  /** The position to resume from, or empty. */
  readonly position: string;
  /** Ends the try. */
  signal: AbortSignal;
  heartbeatMs: number;
  /** Types of events that the page listens to, now and later: an EventSource must be told each. */
  eachType(handler: (type: string) => void): void;
  /** The answer has begun. */
  onOpen(): void;
  /** Something came, if only a comment. */
  onAlive(): void;
  onEvent(event: StreamEvent): void;
  onRetry(retryMs: number): void;
  /** The connection takes commands from now on. */
  onAsk(ask: Ask): void;
  /** Waits while the consumer has too much to do. */
  room(): Promise<void>;
}

export type Transport = (attempt: Try) => Promise<End>;

const WORTH_A_RETRY = new Set([408, 425, 429]);
const NAMES: Record<number, string> = { 204: "finished", 401: "unauthorized", 403: "forbidden" };

/** Reads an answer that is no stream: whether a later try can help, and when. */
export async function refusal(response: Response): Promise<End> {
  const { status } = response;
  const { code, retryAfterMs } = await errorOf(response);
  const reconnect = status >= 500 || WORTH_A_RETRY.has(status);
  return { reason: NAMES[status] ?? (response.ok ? "not_a_stream" : code), reconnect, askedMs: retryAfterMs };
}
