/** What a page holds: handlers, loops and commands, over one stream. */

import { type Ask, AskError, type Command } from "./asking.js";
import { delayMs } from "./backoff.js";
import { Consumers } from "./consumers.js";
import type { Gap, StreamEvent } from "./event.js";
import { Handlers } from "./handlers.js";
import { keepPosition } from "./keep.js";
import { KEY_MS, newKey } from "./key.js";
import type { Options } from "./options.js";
import type { Status } from "./status.js";
import { Stream } from "./stream.js";
import { type Way, Ways } from "./ways.js";

/** Types of events, each with its data: `connect<{ created: Order }>(…)`. */
export type EventTypes = Record<string, any>;

export interface Page {
  after?: string;
  limit?: number;
}

export interface HistoryPage {
  events: (StreamEvent & { time: number })[];
  gap: Gap | null;
  position: string;
  has_more: boolean;
}

export interface MembersPage {
  channel: string;
  members: { member: string; meta: unknown; since: number; listeners: number }[];
  count: number;
  next: string | null;
}

export class Connection<Types extends EventTypes = EventTypes> implements AsyncIterable<StreamEvent> {
  #consumers = new Consumers();
  #watchers = new Handlers<Status>();
  #stream: Stream;

  constructor(
    ways: Way[],
    options: Options,
    readonly askByHttp: Ask,
    positionKey?: string,
  ) {
    this.#stream = new Stream(new Ways(ways), options, this.#consumers, (status) => this.#watchers.call("state", status));
    if (positionKey) keepPosition(positionKey, () => this.#stream.safePosition);
    options.signal?.addEventListener("abort", () => this.close());
    if (options.signal?.aborted) this.close();
  }

  get status(): Status {
    return this.#stream.status;
  }

  /** Up to where the page has all events. */
  get position(): string {
    return this.#stream.position;
  }

  get channels(): readonly string[] {
    return this.#stream.channels;
  }

  /** Calls `handler` for each event of this type. Returns the function that ends it. */
  on<Type extends keyof Types & string>(type: Type, handler: (event: StreamEvent<Types[Type], Type>) => void): () => void {
    return this.#consumers.on(type, handler);
  }

  /** Calls `handler` for each published event, and each gap. */
  onEvent(handler: (event: StreamEvent) => void): () => void {
    return this.#consumers.onAll(handler);
  }

  /** Calls `handler` when events are missing. */
  onGap(handler: (gap: Gap) => void): () => void {
    return this.#consumers.on("gap", ({ data }) => handler(data));
  }

  /** Calls `handler` at each change. The present state is `status`. */
  onState(handler: (status: Status) => void): () => void {
    return this.#watchers.add("state", handler);
  }

  /** The same as `onEvent`. The connection reads no further than the loop can follow. */
  [Symbol.asyncIterator](): AsyncIterableIterator<StreamEvent> {
    return this.#consumers.loop();
  }

  /** Listens to more channels, without a hole in the others. */
  add(...channels: string[]): void {
    const missing = channels.filter((channel) => !this.channels.includes(channel));
    if (missing.length) this.#stream.setChannels([...this.channels, ...missing]);
  }

  /** Stops listening to channels. At least one must be left. */
  remove(...channels: string[]): void {
    const left = this.channels.filter((channel) => !channels.includes(channel));
    if (!left.length) throw new RangeError("A connection needs a channel. Close it instead.");
    if (left.length < this.channels.length) this.#stream.setChannels(left);
  }

  /**
   * Publishes one event, once: while the service can't be reached, it tries again with the same key, but no longer than the service
   * knows that key. Returns its position.
   */
  async publish(channel: string, data: unknown, { type = "message", key = newKey(), tryForMs = KEY_MS } = {}): Promise<string> {
    const command: Command = { type: "publish", channel, data, event: type, idempotency_key: key };
    const until = Date.now() + tryForMs;
    const isOver = (waitMs = 0) => this.status.state === "closed" || Date.now() + waitMs >= until;
    for (let failures = 0; ; failures++) {
      try {
        return (await this.#ask(command)).position;
      } catch (error) {
        if (!(error instanceof AskError && error.isWorthARetry)) throw error;
        const ms = delayMs({ askedMs: error.retryAfterMs, failures });
        if (isOver(ms)) throw error;
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (isOver()) throw error; // the machine may have slept meanwhile
      }
    }
  }

  /** A page of the channel's events: the newest, or those after a position. */
  history(channel: string, page: Page = {}): Promise<HistoryPage> {
    return this.#ask({ type: "history", channel, ...page });
  }

  /** Who listens on the channel. */
  presence(channel: string, page: Page = {}): Promise<MembersPage> {
    return this.#ask({ type: "presence", channel, ...page });
  }

  /** Tries now: the network or the page is back. Does nothing if the connection works. */
  wake(): void {
    this.#stream.wake();
  }

  close(): void {
    this.#stream.close("closed");
  }

  #ask(command: Command): Promise<any> {
    return (this.#stream.ask ?? this.askByHttp)(command);
  }
}
