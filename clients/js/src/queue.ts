/** Events that wait for one `for await`. Above `FULL` the connection stops reading, and the server keeps the rest. */

const FULL = 1_000;
/** A transport that can't stop reading is cut here, and resumes later. */
const FLOODED = 10_000;

export class Queue<Item> implements AsyncIterableIterator<Item> {
  #items: Item[] = [];
  #isClosed = false;
  #changed: (() => void)[] = [];

  constructor(readonly onReturn: () => void) {}

  get isFull(): boolean {
    return this.#items.length >= FULL && !this.#isClosed;
  }

  get isFlooded(): boolean {
    return this.#items.length >= FLOODED;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#tell();
  }

  /** What waits can still be taken. */
  close(): void {
    this.#isClosed = true;
    this.#tell();
  }

  async room(): Promise<void> {
    while (this.isFull) await this.#change();
  }

  async next(): Promise<IteratorResult<Item>> {
    while (!this.#items.length && !this.#isClosed) await this.#change();
    if (!this.#items.length) return { done: true, value: undefined };
    const value = this.#items.shift()!;
    this.#tell();
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<Item>> {
    this.#items = [];
    this.close();
    this.onReturn();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }
}
