/** For pages that work without the network: the last events of each channel, and what was published meanwhile. In IndexedDB. */

import { delayMs } from "./backoff.js";
import type { Connection } from "./connection.js";
import { done, openDatabase } from "./database.js";
import { type StreamEvent, isAtOrBefore } from "./event.js";
import { AskError } from "./index.js";
import { KEY_MS, newKey } from "./key.js";
import { batch } from "./views.js";

const WRITE_MS = 200;
const STORES = { events: { index: "channel" }, outbox: {} };

/** An event from an earlier visit of the page. */
export type Remembered = StreamEvent & { isRemembered: true };

interface Item {
  number?: number;
  channel: string;
  data: unknown;
  type: string;
  key: string;
  /** When it was first sent without a known answer, as `Date.now()` counts. */
  sentAt?: number | undefined;
}

/** It is unknown whether the service has stored it, and the service has forgotten its key. */
const UNANSWERED = new AskError("unanswered", "No answer came when it was sent. Perhaps it is stored.", 0);
/** Words of the service that it has not stored an event. Other answers that are worth a retry leave it open. */
const NOT_STORED = /^(broker_unavailable|draining)$|_rate$/;

/** Resolves once the connection is live; to false if it is closed. */
function isLive(connection: Connection): Promise<boolean> {
  return new Promise((resolve) => {
    const look = () => {
      const { state } = connection.status;
      if (state !== "live" && state !== "closed") return;
      off();
      resolve(state === "live");
    };
    const off = connection.onState(look);
    look();
  });
}

export class Offline {
  /** By what the sender sends that waits for its turn: it takes all that waits by then. */
  #next: Connection | undefined;

  private constructor(
    readonly name: string,
    readonly database: IDBDatabase,
    readonly onRefused: (item: Item, error: AskError) => void,
  ) {}

  /**
   * Opens what a page remembers under this name. `onRefused` is called for an event that the service will never take, and for one
   * that it perhaps has: `unanswered`.
   */
  static async open(name: string, onRefused: (item: Item, error: AskError) => void = console.error): Promise<Offline> {
    return new Offline(name, await openDatabase(`simulcast ${name}`, STORES), onRefused);
  }

  /** The events of earlier visits, in their order: what a page can show before it is connected. */
  async recall(): Promise<Remembered[]> {
    const events = await done(this.#store("events").getAll());
    return events.map(({ number, ...event }) => ({ ...event, channel: event.channel || undefined, isRemembered: true }));
  }

  /** Remembers the last `count` events of each channel, each once, and the gaps. Returns the function that ends it. */
  remember(connection: Connection, count = 100): () => void {
    return batch(connection, (events) => this.#write(events, count), WRITE_MS);
  }

  /** What was published and has not been sent, in its order. */
  waiting(): Promise<Item[]> {
    return done(this.#store("outbox").getAll());
  }

  /** Stores an event to publish. It goes out once the service can be reached, after a reload too. */
  async publish(connection: Connection, channel: string, data: unknown, type = "message"): Promise<void> {
    const item: Item = { channel, data, type, key: newKey() };
    await done(this.#store("outbox", "readwrite").add(item));
    void this.send(connection);
  }

  /** Sends what waits, in its order, while the connection is live. Call it at the start of a page. One tab sends at a time. */
  async send(connection: Connection): Promise<void> {
    for (let failures = 0; this.#next !== connection; failures++) {
      this.#next = connection;
      if (!(await isLive(connection))) return; // it is closed: the next page sends
      const sendAll = () => this.#sendAll(connection);
      // Without TLS, except on localhost, browsers have no locks. Then the key of an event keeps two tabs from storing it twice.
      const askedMs = await (navigator.locks?.request(`simulcast outbox ${this.name}`, sendAll) ?? sendAll());
      if (askedMs === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, delayMs({ askedMs, failures })));
    }
  }

  /** Returns how long to wait at least, in milliseconds, if something is left. */
  async #sendAll(connection: Connection): Promise<number | undefined> {
    this.#next = undefined;
    for (const item of await this.waiting()) {
      if (connection.status.state !== "live") return 0;
      const failure = await this.#try(connection, item);
      if (failure?.isWorthARetry && failure !== UNANSWERED) return failure.retryAfterMs;
      if (failure) this.onRefused(item, failure);
      await done(this.#store("outbox", "readwrite").delete(item.number!));
    }
    return undefined;
  }

  /** Sends it once. What is known of an answer is stored as it changes: the page can be closed at any time. */
  async #try(connection: Connection, item: Item): Promise<AskError | undefined> {
    const now = Date.now();
    const { sentAt = now } = item;
    if (now < sentAt || now > sentAt + KEY_MS) return UNANSWERED; // a clock that was set back tells no age
    const mark = (sentAt?: number) => done(this.#store("outbox", "readwrite").put({ ...item, sentAt }));
    await mark(sentAt);
    try {
      await connection.publish(item.channel, item.data, { ...item, tryForMs: 0 });
      return undefined;
    } catch (error) {
      const failure = error instanceof AskError ? error : new AskError("invalid", String(error), 400);
      if (NOT_STORED.test(failure.code)) await mark(item.sentAt);
      return failure;
    }
  }

  async #write(events: StreamEvent[], count: number): Promise<void> {
    const store = this.#store("events", "readwrite");
    const index = store.index("channel");
    const newest = new Map<string, string>();
    for (const channel of new Set(events.map(({ channel = "" }) => channel)))
      newest.set(channel, (await done(index.openCursor(channel, "prev")))?.value.id ?? "");
    // Another tab, or an earlier visit, may have stored them already.
    const fresh = events.filter(({ id = "", channel = "" }) => !isAtOrBefore(id, newest.get(channel)!));
    for (const { type, data, id, channel = "" } of fresh) store.add({ type, data, id, channel });
    for (const channel of newest.keys()) {
      const numbers = await done(index.getAllKeys(channel));
      for (const number of numbers.slice(0, -count)) store.delete(number);
    }
  }

  #store(name: keyof typeof STORES, mode: IDBTransactionMode = "readonly"): IDBObjectStore {
    return this.database.transaction(name, mode).objectStore(name);
  }
}
