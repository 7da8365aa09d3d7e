import type { StreamEvent } from "./event.js";
import { Handlers } from "./handlers.js";
import { Queue } from "./queue.js";

/** What a consumer of all events does not want: the stream's own messages, except gaps. */
const OWN = new Set(["connected", "heartbeat", "closed"]);

/** Where events go: handlers, at once, and loops, each at its own pace. */
export class Consumers {
  #handlers = new Handlers<any>();
  #queues = new Set<Queue<StreamEvent>>();
  #types = new Set(["connected", "gap", "heartbeat", "closed", "message"]);
  #typeWatchers = new Handlers<string>();
  #isClosed = false;

  on(type: string, handler: (event: any) => void): () => void {
    if (!this.#types.has(type)) {
      this.#types.add(type);
      this.#typeWatchers.call("type", type);
    }
    return this.#handlers.add(`type:${type}`, handler);
  }

  onAll(handler: (event: StreamEvent) => void): () => void {
    return this.#handlers.add("all", handler);
  }

  /** Calls `handler` for each type that has handlers, and for each that gets some before the signal. */
  eachType(handler: (type: string) => void, signal: AbortSignal): void {
    this.#types.forEach(handler);
    signal.addEventListener("abort", this.#typeWatchers.add("type", handler));
  }

  loop(): Queue<StreamEvent> {
    const queue = new Queue<StreamEvent>(() => this.#queues.delete(queue));
    this.#queues.add(queue);
    if (this.#isClosed) queue.close();
    return queue;
  }

  hand(event: StreamEvent): void {
    this.#handlers.call(`type:${event.type}`, event);
    if (OWN.has(event.type)) return;
    this.#handlers.call("all", event);
    for (const queue of this.#queues) queue.push(event);
  }

  get isFull(): boolean {
    return [...this.#queues].some((queue) => queue.isFull);
  }

  get isFlooded(): boolean {
    return [...this.#queues].some((queue) => queue.isFlooded);
  }

  async room(): Promise<void> {
    await Promise.all([...this.#queues].map((queue) => queue.room()));
  }

  close(): void {
    this.#isClosed = true;
    for (const queue of this.#queues) queue.close();
  }
}
