/** One stream that comes back by itself: tries, waits, tries again from its position, and tells its state. */

import { delayMs } from "./backoff.js";
import { Consumers } from "./consumers.js";
import type { Gap, StreamEvent } from "./event.js";
import { Handlers } from "./handlers.js";
import { type Options, canRenew, initOf, urlOf } from "./options.js";
import { Place } from "./place.js";
import { type State, type Status, stateBetweenTries } from "./status.js";
import { type End, LOST, type Transport } from "./transports/transport.js";
import { onWake } from "./wake.js";
import { Watchdog } from "./watchdog.js";

const HEARTBEAT_MS = 15_000;
/** A connection that lived for this long was a good one: the next wait begins small. */
const GOOD_MS = 10_000;
const SILENT: End = { reason: "silent", reconnect: true };

interface Goodbye {
  reason: string;
  reconnect: boolean;
}

/** Types of events, each with its data: `connect<{ created: Order }>(…)`. */
export type EventTypes = Record<string, any>;

export class Connection<Types extends EventTypes = EventTypes> implements AsyncIterable<StreamEvent> {
  #status: Status = { state: "connecting", reason: "", retryAt: 0 };
  #place: Place;
  #consumers = new Consumers();
  #watchers = new Handlers<Status>();
  #failures = 0;
  #retryMs: number | undefined;
  #liveAt = 0;
  #abort = new AbortController();
  /** Why this side ends the current try. */
  #end: End | undefined;
  #watchdog: Watchdog | undefined;
  #endPause = () => {};
  #forgetWake: () => void;

  constructor(
    readonly url: URL,
    readonly options: Options,
    readonly transport: Transport,
  ) {
    this.#place = new Place(options.position);
    this.#forgetWake = onWake(() => this.wake());
    options.signal?.addEventListener("abort", () => this.close());
    if (options.signal?.aborted) this.close();
    else queueMicrotask(() => this.#run());
  }

  get status(): Status {
    return this.#status;
  }

  /** Up to where the page has all events. */
  get position(): string {
    return this.#place.position;
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

  /** Tries now: the network or the page is back. Does nothing if the connection works. */
  wake(): void {
    this.#endPause();
    if (this.#watchdog?.isSilent) this.#leave(SILENT);
  }

  close(reason = "closed"): void {
    if (this.#status.state === "closed") return;
    this.#forgetWake();
    this.#leave({ reason, reconnect: false });
    this.#endPause();
    this.#enter("closed", reason);
    this.#consumers.close();
  }

  async #run(): Promise<void> {
    while (this.#status.state !== "closed") {
      const end = await this.#try();
      if (end.reconnect) await this.#pause(end);
      else this.close(end.reason);
    }
  }

  async #try(): Promise<End> {
    this.#abort = new AbortController();
    this.#end = undefined;
    this.#liveAt = 0;
    const watchdog = new Watchdog(this.options.heartbeatMs ?? HEARTBEAT_MS, () => this.#doubt(), () => this.#leave(SILENT));
    this.#watchdog = watchdog;
    try {
      return await this.#open(watchdog);
    } catch {
      return this.#end ?? (this.#liveAt ? LOST : { reason: "unreachable", reconnect: true });
    } finally {
      watchdog.stop();
      this.#watchdog = undefined;
      this.#abort.abort();
    }
  }

  async #open(watchdog: Watchdog): Promise<End> {
    const end = await this.transport({
      url: await urlOf(this.url, this.options),
      init: await initOf(this.options, this.#abort.signal),
      position: this.position,
      onAlive: () => this.#alive(watchdog),
      onEvent: (event) => this.#receive(event),
      onRetry: (retryMs) => (this.#retryMs = retryMs),
      room: () => this.#room(watchdog),
    });
    return this.#end ?? end;
  }

  async #pause({ reason, askedMs }: End): Promise<void> {
    if (this.#liveAt && Date.now() - this.#liveAt >= GOOD_MS) this.#failures = 0;
    const { maxRetryMs } = this.options;
    const ms = delayMs({ askedMs, baseMs: this.#retryMs, maxMs: maxRetryMs, failures: this.#failures++ });
    const state = stateBetweenTries(this.#failures);
    this.#enter(state, reason, Date.now() + ms);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => (clearTimeout(timer), resolve());
    });
    this.#endPause = () => {};
    if (this.#status.state !== "closed") this.#enter(state, reason);
  }

  /** Ends the current try from this side. */
  #leave(end: End): void {
    this.#end ??= end;
    this.#abort.abort();
  }

  #receive(event: StreamEvent): void {
    if (this.#end) return; // what is left will come again
    if (event.type === "closed") return this.#hearGoodbye(event as StreamEvent<Goodbye>);
    if (!this.#place.take(event)) return;
    this.#liveAt ||= Date.now();
    this.#enter("live");
    this.#consumers.hand(event);
  }

  #hearGoodbye(event: StreamEvent<Goodbye>): void {
    const { reason, reconnect } = event.data;
    this.#consumers.hand(event);
    const isWorthIt = reconnect || (reason === "expired" && canRenew(this.options));
    this.#leave({ reason, reconnect: isWorthIt, askedMs: this.#retryMs });
  }

  #alive(watchdog: Watchdog): void {
    watchdog.fed();
    if (this.#status.state === "stale") this.#enter("live");
  }

  #doubt(): void {
    if (this.#status.state === "live") this.#enter("stale", "silent");
  }

  /** A connection that does not read hears nothing, so the watchdog pauses. */
  async #room(watchdog: Watchdog): Promise<void> {
    if (!this.#consumers.isFull) return;
    watchdog.stop();
    await this.#consumers.room();
    watchdog.fed();
  }

  #enter(state: State, reason = "", retryAt = 0): void {
    const { state: before, retryAt: planned } = this.#status;
    if (state === before && retryAt === planned) return;
    this.#status = Object.freeze({ state, reason, retryAt });
    this.#watchers.call("state", this.#status);
  }
}
