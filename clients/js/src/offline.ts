/** For pages that work without the network: the last events of each channel, and what was published meanwhile. In IndexedDB. */

import type { Connection } from "./connection.js";
import { done, openDatabase } from "./database.js";
import type { StreamEvent } from "./event.js";
import { AskError } from "./index.js";
import { newKey } from "./key.js";
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
}

export class Offline {
  /** Whether a sender waits for its turn: it takes all that waits by then. */
  #isNext = false;

  private constructor(
    readonly name: string,
    readonly database: IDBDatabase,
    readonly onRefused: (item: Item, error: AskError) => void,
  ) {}

  /** Opens what a page remembers under this name. `onRefused` is called for an event that the service will never take. */
  static async open(name: string, onRefused: (item: Item, error: AskError) => void = console.error): Promise<Offline> {
    return new Offline(name, await openDatabase(`simulcast ${name}`, STORES), onRefused);
  }

  /** The events of earlier visits, in their order: what a page can show before it is connected. */
  async recall(): Promise<Remembered[]> {
    const events = await done(this.#store("events").getAll());
    return events.map(({ number, ...event }) => ({ ...event, channel: event.channel || undefined, isRemembered: true }));
  }

  /** Remembers the last `count` events of each channel, and the gaps. Returns the function that ends it. */
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

  /** Sends what waits, in its order. Call it at the start of a page. One tab sends at a time. */
  async send(connection: Connection): Promise<void> {
    if (this.#isNext) return;
    this.#isNext = true;
    await navigator.locks.request(`simulcast outbox ${this.name}`, () => {
      this.#isNext = false;
      return this.#sendAll(connection);
    });
  }

  async #sendAll(connection: Connection): Promise<void> {
    for (const item of await this.waiting()) {
      try {
        await connection.publish(item.channel, item.data, item);
      } catch (error) {
        if (!(error instanceof AskError) || error.isWorthARetry) return; // closed: the next page sends it
        this.onRefused(item, error);
      }
      await done(this.#store("outbox", "readwrite").delete(item.number!));
    }
  }

  async #write(events: StreamEvent[], count: number): Promise<void> {
    const store = this.#store("events", "readwrite");
    for (const { type, data, id, channel = "" } of events) store.add({ type, data, id, channel });
    for (const channel of new Set(events.map(({ channel }) => channel ?? ""))) {
      const numbers = await done(store.index("channel").getAllKeys(channel));
      for (const number of numbers.slice(0, -count)) store.delete(number);
    }
  }

  #store(name: keyof typeof STORES, mode: IDBTransactionMode = "readonly"): IDBObjectStore {
    return this.database.transaction(name, mode).objectStore(name);
  }
}
