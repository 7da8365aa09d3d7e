/** The rows of a table, kept by key: what is refreshed takes no focus and no selection away. */
export class Table {
  #rows = new Map();

  /** Calls `keyOf(item)`, `make(item)` for a new row, and `fill(row, item)` each time. */
  constructor(body, { keyOf, make, fill }) {
    Object.assign(this, { body, keyOf, make, fill });
  }

  show(items) {
    const kept = new Set(items.map(this.keyOf));
    for (const [key, row] of this.#rows) if (!kept.has(key)) this.#drop(key, row);
    items.forEach((item, index) => this.#place(item, this.body.children[index] ?? null));
  }

  #drop(key, row) {
    row.remove();
    this.#rows.delete(key);
  }

  /** Moves a row only if its place changed: moving the focused element would blur it. */
  #place(item, there) {
    const key = this.keyOf(item);
    const row = this.#rows.get(key) ?? this.make(item);
    this.#rows.set(key, row);
    this.fill(row, item);
    if (there !== row) this.body.insertBefore(row, there);
  }
}
