import { delayMs } from "./backoff.js";
import { type StreamEvent, isAtOrBefore } from "./event.js";

/** Loads the page's data. Returns the position up to which it is complete, if it knows it. */
export type Snapshot = () => Promise<string | void>;

/** Holds events back while the page loads its data: at the start, if there is no position, and after each gap. */
export class Snapshots {
  #held: StreamEvent[] | undefined;

  constructor(
    readonly snapshot: Snapshot | undefined,
    private isNeeded: boolean,
    readonly onEvent: (event: StreamEvent) => void,
  ) {}

  get isLoading(): boolean {
    return !!this.#held;
  }

  /** Hands the event on, now or after the snapshot. */
  take(event: StreamEvent): void {
    if (this.#held) return void this.#held.push(event);
    this.onEvent(event);
    const isStart = event.type === "connected" && this.isNeeded;
    if (this.snapshot && (isStart || event.type === "gap")) this.#load(this.snapshot);
  }

  /** Until it succeeds. Events from before a try are part of its result, so only those that come meanwhile are kept. */
  async #load(snapshot: Snapshot): Promise<void> {
    this.isNeeded = false;
    for (let failures = 0; ; failures++) {
      this.#held = [];
      try {
        const position = (await snapshot()) ?? "";
        const held = this.#held;
        this.#held = undefined;
        for (const event of held) if (!isAtOrBefore(event.id ?? "", position)) this.take(event);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, delayMs({ failures })));
      }
    }
  }
}
