/** The list of wukongs. Rows are kept by name, so a refresh never takes the keyboard focus away. */

import { call } from "./api.js";
import { figure } from "./format.js";
import { parts, say } from "./parts.js";
import { named, t } from "./text.js";

/** More rows would make the page slow. The note says how many are left out. */
const MAX_ROWS = 500;
const FETCH_MS = 8_000;
const KINDS = ["host", "worker", "agent"];
const names = new Intl.Collator("en", { numeric: true });
const inOrder = (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || names.compare(a.name, b.name);

function makeRow() {
  const [row, link] = [document.createElement("li"), document.createElement("a")];
  link.append(document.createElement("span"), document.createElement("span"));
  row.append(link);
  return row;
}

function fillRow(row, { name, kind, state, data }, base) {
  const link = row.firstChild;
  const hasFigure = state === "online" && Number.isFinite(data.cpu_percent);
  Object.assign(row.dataset, { kind, state, group: t(`shell.group.${kind}`) });
  Object.assign(link, { href: `${base}#${encodeURIComponent(name)}`, title: name });
  link.firstChild.textContent = name;
  link.lastChild.textContent = hasFigure ? figure("cpu_percent", data.cpu_percent) : named("shell.wukong", state);
}

export class WukongList {
  constructor(root) {
    Object.assign(this, { root, parts: parts(root), rows: new Map(), current: "" });
  }

  /** An incomplete document is an error, and the rows of the last good one stay. */
  async load() {
    try {
      this.#show((await call("GET", "wukongs", null, AbortSignal.timeout(FETCH_MS))).wukongs);
    } catch (error) {
      say(this.parts, { note: t(this.rows.size ? "shell.list.old" : "shell.list.failed") });
      console.warn(`List of wukongs not read: ${error.message}`);
    }
  }

  mark(name) {
    this.current = name;
    for (const [key, { firstChild: link }] of this.rows) {
      if (key === name && !link.ariaCurrent) link.scrollIntoView({ block: "nearest", inline: "nearest" });
      link.ariaCurrent = key === name ? "true" : null;
    }
  }

  /** The stream is newer than the list, so it updates its row. */
  update(wukong) {
    if (this.rows.has(wukong.name)) this.#fill(this.rows.get(wukong.name), wukong);
  }

  #show(wukongs) {
    const shown = wukongs.slice(0, MAX_ROWS).sort(inOrder);
    const rest = wukongs.length - shown.length;
    const kept = new Set(shown.map(({ name }) => name));
    for (const name of [...this.rows.keys()].filter((each) => !kept.has(each))) this.#drop(name);
    shown.forEach((wukong, index) => this.#place(wukong, index));
    this.mark(this.current);
    say(this.parts, { note: rest ? t("shell.list.rest", { count: rest }) : shown.length ? "" : t("shell.list.empty") });
  }

  /** Its links lead to the page of wukongs. */
  #fill(row, wukong) {
    fillRow(row, wukong, this.root.dataset.href ?? "");
  }

  #drop(name) {
    this.rows.get(name).remove();
    this.rows.delete(name);
  }

  /** Moves a row only if its place changed: moving the focused element would blur it. */
  #place(wukong, index) {
    const row = this.rows.get(wukong.name) ?? makeRow();
    const there = this.parts.rows.children[index] ?? null;
    this.rows.set(wukong.name, row);
    this.#fill(row, wukong);
    if (there !== row) this.parts.rows.insertBefore(row, there);
  }
}
