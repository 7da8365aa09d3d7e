/** A line that never ends would fill the memory of the page. */
const MAX_CHARACTERS = 1 << 26;
const LINE_END = /\r\n|\r|\n/;

/** Lines from bytes in pieces, which may be cut anywhere: within a character, or between CR and LF. */
export class Lines {
  #decoder = new TextDecoder();
  #rest = "";
  #endedByCr = false;

  /** Returns the lines that end in this piece. */
  feed(bytes: Uint8Array): string[] {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#endedByCr && text[0] === "\n") text = text.slice(1);
    else if (!text) return [];
    this.#endedByCr = text.endsWith("\r");
    const lines = text.split(LINE_END);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop()!;
    if (this.#rest.length > MAX_CHARACTERS) throw new RangeError("A line is too long.");
    return lines;
  }
}
