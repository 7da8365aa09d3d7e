/** A table of any length, of which the page holds only the rows in sight. The index 0 is the row at the top. */

const ROW_PX = 32; // as in usage.css
/** Rows above and below those in sight, so that a fast wheel shows no blank. */
const SPARE = 8;

export class Rows {
  #pool = [];
  #frame = 0;

  /** Calls `at(index)` for the item of a row, `fill(cells, item)` to write it, and `onEnd()` when the last row is near. */
  constructor(scroller, columns, { at, fill, onEnd }) {
    Object.assign(this, { scroller, columns, at, fill, onEnd, sheet: scroller.firstElementChild, count: 0 });
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  /** The index of the topmost row in sight; 0 also means that new rows may push it down. */
  get top() {
    return Math.floor(this.scroller.scrollTop / ROW_PX);
  }

  /** Sets the number of rows. `moved` is how far the row that is topmost has moved down: it stays where it is seen. */
  resize(count, moved = 0) {
    this.count = count;
    this.sheet.style.blockSize = `${count * ROW_PX}px`;
    if (moved) this.scroller.scrollTop += moved * ROW_PX;
    this.draw();
  }

  /** Draws once before the next paint, however often it is called. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const first = Math.max(this.top - SPARE, 0);
    const last = Math.min(this.top + Math.ceil(this.scroller.clientHeight / ROW_PX) + SPARE, this.count);
    const shown = Math.max(last - first, 0);
    while (this.#pool.length < shown) this.#pool.push(this.#row());
    while (this.#pool.length > shown) this.#pool.pop().remove();
    this.#pool.forEach((row, n) => this.#show(row, first + n));
    if (this.count && last === this.count) this.onEnd();
  }

  #show(row, index) {
    row.style.transform = `translateY(${index * ROW_PX}px)`;
    row.ariaRowIndex = index + 2; // the head is row 1
    this.fill(row.children, this.at(index));
  }

  #row() {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    for (let n = 0; n < this.columns; n += 1) row.appendChild(document.createElement("span")).setAttribute("role", "cell");
    return this.sheet.appendChild(row);
  }
}
