/** What an operator looks up and acts on: listeners, which can be closed, and channels. */

import { call } from "./api.js";
import { duration, time } from "./format.js";
import { element, say } from "./parts.js";
import { Table } from "./table.js";
import { number, t } from "./text.js";

const MAX_ROWS = 100;
/** What a worker has said of its listeners is right for this time: it looks every five seconds. */
const LAG_MS = 12_000;

const cells = (...names) => names.map((name) => {
  const cell = element("td");
  cell.dataset.cell = name;
  return cell;
});

function makeRow(names) {
  const row = element("tr");
  row.append(...cells(...names));
  return row;
}

const fillRow = (row, texts) => texts.forEach((text, index) => say(row.children, { [index]: text }));

/** One page of a list of the API, filtered by the form and shown in a table. */
class Lookup {
  #load = 0;

  constructor(id, shown, table) {
    Object.assign(this, { id, shown, rows: [], table: new Table(document.getElementById(id), table) });
  }

  /** Reads `path`, and shows the rows that it has under the id. An answer to an earlier call is dropped. */
  async read(path, query) {
    const mine = ++this.#load;
    try {
      const answer = await call("GET", `${path}?${new URLSearchParams({ ...query, limit: MAX_ROWS })}`);
      if (mine !== this.#load) return;
      const rows = (this.rows = answer[this.id]);
      this.redraw();
      this.note(answer.next ? t("ops.first", { count: rows.length }) : rows.length ? "" : t("ops.none"));
    } catch (error) {
      this.note(error.message);
    }
  }

  redraw() {
    this.table.show(this.rows);
  }

  note(text) {
    say(this.shown, { [this.id]: text });
  }
}

export class Listeners {
  constructor(form, shown) {
    const fill = (row, one) => {
      const behind = this.#lagOf(one.id);
      row.dataset.lags = Boolean(behind);
      fillRow(row, [one.id, one.user, one.channels.join(", "), one.encoding, time(one.since), behind ? duration(behind) : ""]);
    };
    this.form = form;
    /** The seconds by which listeners are behind, by worker. */
    this.lags = new Map();
    this.lookup = new Lookup("listeners", shown, { keyOf: ({ id }) => id, make: (one) => this.#make(one), fill });
    for (const field of [form.channel, form.user]) field.addEventListener("change", () => this.load());
  }

  load() {
    return this.lookup.read("listeners", { channel: this.form.channel.value, user: this.form.user.value });
  }

  #make({ id, user }) {
    const row = makeRow(["id", "user", "channels", "encoding", "since", "behind", "actions"]);
    row.lastChild.append(this.#button("ops.kick", id, () => call("DELETE", `listeners/${id}`)));
    if (user) row.lastChild.append(" ", this.#button("ops.revoke", user, () => this.#revoke(user)));
    return row;
  }

  forget() {
    this.lags.clear();
  }

  /** What one worker says. It says nothing of listeners that have all. */
  lag({ host, worker, time: atMs, listeners }) {
    this.lags.set(`${host} ${worker}`, { atMs, listeners });
    this.lookup.redraw();
  }

  #lagOf(id) {
    const newest = Math.max(0, ...[...this.lags.values()].map(({ atMs }) => atMs));
    const heard = [...this.lags.values()].filter(({ atMs }) => newest - atMs < LAG_MS);
    return Math.max(0, ...heard.map(({ listeners }) => listeners[id] ?? 0));
  }

  async #revoke(user) {
    if (confirm(t("ops.revoke.sure", { user }))) await call("DELETE", `users/${encodeURIComponent(user)}/grants`);
  }

  /** A button that does something and says what became of it. */
  #button(key, about, act) {
    const button = element("button", "", t(key));
    Object.assign(button, { type: "button", ariaLabel: `${t(key)} ${about}` });
    button.addEventListener("click", async () => {
      button.disabled = true;
      await act().then(() => this.load(), (error) => this.lookup.note(error.message));
      button.disabled = false;
    });
    return button;
  }
}

export class Channels {
  constructor(form, shown) {
    const names = ["channel", "events", "listeners", "newest"];
    const fill = (row, one) => fillRow(row, [one.channel, number(one.events), number(one.listeners), one.last ? time(one.last) : "–"]);
    this.form = form;
    this.lookup = new Lookup("channels", shown, { keyOf: ({ channel }) => channel, make: () => makeRow(names), fill });
    form.channel.addEventListener("change", () => this.load());
  }

  load() {
    return this.lookup.read("ops/channels", { prefix: this.form.channel.value });
  }
}
