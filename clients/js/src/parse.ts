/** Server-sent events from bytes. Source: WHATWG HTML, 9.2.5 (grammar) and 9.2.6 (how a browser reads it). */

/** One block of a stream. `id` is missing if the block had none. */
export interface Block {
  type: string;
  data: string;
  id: string | undefined;
}

/** A line that never ends would fill the memory of the page. */
const MAX_LINE = 1 << 26;
const LINE_END = /\r\n|\r|\n/;

/** Feed it the pieces as they come: they may be cut anywhere, also within a character or between CR and LF. */
export class Parser {
  /** The last `retry:` of the stream, in milliseconds; 0 if there was none. */
  retryMs = 0;
  #decoder = new TextDecoder();
  #rest = "";
  #endedByCr = false;
  #type = "";
  #id: string | undefined;
  #data: string[] = [];

  feed(bytes: Uint8Array): Block[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#endedByCr && text[0] === "\n") text = text.slice(1);
    else if (!text) return [];
    this.#endedByCr = text.endsWith("\r");
    const lines = text.split(LINE_END);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop()!;
    if (this.#rest.length > MAX_LINE) throw new RangeError(`A line of the stream is longer than ${MAX_LINE} characters.`);
    return lines.map((line) => this.#read(line)).filter((block) => block !== undefined);
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
