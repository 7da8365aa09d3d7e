/** One stream that comes back by itself: tries, waits, tries again from its position, and tells its state. */

import type { Ask } from "./asking.js";
import { delayMs } from "./backoff.js";
import type { Consumers } from "./consumers.js";
import { BUFFERED, type End, LOST, RECHANNEL, SILENT, SLOW, UNREACHABLE } from "./ends.js";
import type { Goodbye, StreamEvent } from "./event.js";
import { type Options, canRenew, requestOf } from "./options.js";
import { Place } from "./place.js";
import { Snapshots } from "./snapshot.js";
import { type State, type Status, stateBetweenTries } from "./status.js";
import { onWake } from "./wake.js";
import { Watchdog } from "./watchdog.js";
import type { Way, Ways } from "./ways.js";

const HEARTBEAT_MS = 15_000;
/** A connection that lived for this long was a good one: the next wait begins small. */
const GOOD_MS = 10_000;

export class Stream {
  status: Status = { state: "connecting", reason: "", retryAt: 0 };
  channels: string[];
  /** Sends a command over the present connection, if that takes commands. */
  ask: Ask | undefined;
  #place: Place;
  #snapshots: Snapshots;
  #failures = 0;
  #retryMs: number | undefined;
  #liveAt = 0;
  #isHeld = false;
  #abort = new AbortController();
  /** Why this side ends the current try. */
  #end: End | undefined;
  #watchdog: Watchdog | undefined;
  #endPause = () => {};
  #forgetWake: () => void;

  constructor(
    readonly ways: Ways,
    readonly options: Options,
    readonly consumers: Consumers,
    readonly onStatus: (status: Status) => void,
  ) {
    this.channels = [options.channels ?? []].flat();
    this.#place = new Place(options.position);
    this.#snapshots = new Snapshots(options.snapshot, !options.position, (event) => consumers.hand(event));
    this.#forgetWake = onWake(() => this.wake(), () => this.#leave(LOST));
    queueMicrotask(() => this.#run());
  }

  get position(): string {
    return this.#place.position;
  }

  /** Where a reloaded page can resume; empty while its data is on the way. */
  get safePosition(): string {
    return this.#snapshots.isLoading ? "" : this.position;
  }

  /** Listens to these channels from its position on. The server is asked anew, because a URL names them. */
  setChannels(channels: string[]): void {
    this.channels = channels;
    this.#leave(RECHANNEL);
  }

  /** Tries now, unless the connection works. */
  wake(): void {
    this.#endPause();
    if (this.#watchdog?.isSilent) this.#leave(SILENT);
  }

  close(reason: string): void {
    if (this.status.state === "closed") return;
    this.#forgetWake();
    this.#leave({ reason, reconnect: false });
    this.#endPause();
    this.#snapshots.end = reason;
    this.#enter("closed", reason);
    this.consumers.close();
  }

  async #run(): Promise<void> {
    while (this.status.state !== "closed") {
      const end = await this.#try(this.ways.present);
      if (end === RECHANNEL) continue;
      if (end.reconnect) await this.#pause(end);
      else this.close(end.reason);
    }
  }

  async #try(way: Way): Promise<End> {
    this.#abort = new AbortController();
    this.#end = undefined;
    this.#liveAt = 0;
    this.#isHeld = false;
    const watchdog = new Watchdog(this.#heartbeatMs, () => this.#doubt(), () => this.#leave(this.#isHeld ? BUFFERED : SILENT));
    this.#watchdog = watchdog;
    try {
      return await this.#open(way, watchdog);
    } catch {
      return this.#end ?? (this.#liveAt ? LOST : UNREACHABLE);
    } finally {
      watchdog.stop();
      this.#watchdog = this.ask = undefined;
      this.#abort.abort();
    }
  }

  async #open({ transport, url }: Way, watchdog: Watchdog): Promise<End> {
    const { signal } = this.#abort;
    const { options, channels } = this;
    const stream = this;
    const end = await (options.share?.(transport) ?? transport)({
      name: `${url} ${channels}`,
      get position() {
        return stream.position;
      },
      request() {
        signal.throwIfAborted();
        // A ticket can be on the way for minutes, if the network has died silently.
        const left = new Promise<never>((_, reject) => signal.addEventListener("abort", reject));
        return Promise.race([requestOf(url, channels, options), left]);
      },
      signal,
      heartbeatMs: this.#heartbeatMs,
      eachType: (handler) => this.consumers.eachType(handler, signal),
      onOpen: () => (this.#isHeld = true),
      onAlive: () => this.#alive(watchdog),
      onEvent: (event) => this.#receive(event),
      onRetry: (retryMs) => (this.#retryMs = retryMs),
      onAsk: (ask) => (this.ask = ask),
      room: () => this.#room(watchdog),
    });
    return this.#end ?? end;
  }

  async #pause(end: End): Promise<void> {
    await this.consumers.room();
    if (this.#liveAt && Date.now() - this.#liveAt >= GOOD_MS) this.#failures = 0;
    const ms = delayMs({ ...end, baseMs: this.#retryMs, maxMs: this.options.maxRetryMs, failures: this.#failures++ });
    const state = stateBetweenTries(this.#failures);
    this.ways.ended();
    this.#enter(state, end.reason, Date.now() + ms);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => (clearTimeout(timer), resolve());
    });
    this.#endPause = () => {};
    if (this.status.state !== "closed") this.#enter(state, end.reason);
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
    this.ways.keep();
    this.#isHeld = false;
    this.#enter("live", this.ways.detour);
    this.#snapshots.take(event);
    if (this.consumers.isFlooded) this.#leave(SLOW);
  }

  #hearGoodbye(event: StreamEvent<Goodbye>): void {
    const { reason, reconnect } = event.data;
    this.consumers.hand(event);
    const isWorthIt = reconnect || (reason === "expired" && canRenew(this.options));
    this.#leave({ reason, reconnect: isWorthIt, askedMs: this.#retryMs });
  }

  get #heartbeatMs(): number {
    return this.options.heartbeatMs ?? HEARTBEAT_MS;
  }

  #alive(watchdog: Watchdog): void {
    watchdog.fed();
    if (this.status.state === "stale") this.#enter("live", this.ways.detour);
  }

  #doubt(): void {
    if (this.status.state === "live") this.#enter("stale", "silent");
  }

  /** A connection that does not read hears nothing, so the watchdog pauses. */
  async #room(watchdog: Watchdog): Promise<void> {
    if (!this.consumers.isFull) return;
    watchdog.stop();
    await this.consumers.room();
    watchdog.fed();
  }

  #enter(state: State, reason = "", retryAt = 0): void {
    if (state === this.status.state && retryAt === this.status.retryAt) return;
    this.status = Object.freeze({ state, reason, retryAt });
    this.onStatus(this.status);
  }
}
