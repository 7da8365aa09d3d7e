import { delayMs } from "./backoff.js";
import { type StreamEvent, isAtOrBefore } from "./event.js";

/** Loads the page's data. Returns the position up to which it is complete, if it knows it. */
export type Snapshot = () => Promise<string | void>;

/** Holds events back while the page loads its data: at the start, if there is no position, and after each gap. */
export class Snapshots {
  /** Why the stream is closed; empty before. */
  end = "";
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

  /**
   * Until it succeeds, or the stream is closed. Events from before a try are part of its result, so only those that come meanwhile
   * are kept. A page that has closed the stream itself gets none of them.
   */
  async #load(snapshot: Snapshot): Promise<void> {
    this.isNeeded = false;
    for (let failures = 0; !this.end; failures++) {
      this.#held = [];
      try {
        const position = (await snapshot()) ?? "";
        if (this.end === "closed") return;
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
