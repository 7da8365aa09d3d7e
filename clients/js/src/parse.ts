/** Server-sent events from bytes. Source: WHATWG HTML, 9.2.5 (grammar) and 9.2.6 (how a browser reads it). */

import { Lines } from "./lines.js";

/** One block of a stream. `id` is missing if the block had none. */
export interface Block {
  type: string;
  data: string;
  id: string | undefined;
}

export class Parser {
  /** The last `retry:` of the stream, in milliseconds; 0 if there was none. */
  retryMs = 0;
  #lines = new Lines();
  #type = "";
  #id: string | undefined;
  #data: string[] = [];

  /** Returns the events that end in this piece of the stream. */
  feed(bytes: Uint8Array): Block[] {
    const blocks = this.#lines.feed(bytes).map((line) => this.#read(line));
    return blocks.filter((block) => block !== undefined);
  }

  #read(line: string): Block | undefined {
    if (!line) return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon); // the field of a comment is empty
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  /** A block without data is no event, but its id counts. */
  #dispatch(): Block | undefined {
    const block = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const isEvent = this.#data.length > 0;
    this.#type = "";
    this.#data = [];
    if (isEvent) this.#id = undefined;
    return isEvent ? block : undefined;
  }
}
