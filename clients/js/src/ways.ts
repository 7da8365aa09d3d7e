import type { Transport } from "./transports/transport.js";

/** A transport, and the URL that it takes. */
export interface Way {
  transport: Transport;
  url: URL;
  /** The reason of a live connection that goes another way because this one failed. */
  failure: string;
}

/** Ways to the server, tried in turn until one has worked. That one is kept: a proxy treats all tries alike. */
export class Ways {
  /** Why the present way is not the first one. */
  detour = "";

  constructor(readonly ways: Way[]) {}

  get present(): Way {
    return this.ways[0]!;
  }

  /** The present way works. */
  keep(): void {
    this.ways.length = 1;
  }

  /** The present way has ended. */
  ended(): void {
    if (this.ways.length === 1) return;
    this.detour = this.present.failure;
    this.ways.push(this.ways.shift()!);
  }
}
