/** The live status of one wukong: two figures over time, and all others in a table. */

import { Chart } from "./chart.js";
import { bytes, figure, label, time } from "./format.js";
import { parts, say } from "./parts.js";
import { named, t } from "./text.js";

/** An agent may report any object. Rows above this limit are left out. */
const MAX_FACTS = 100;
const COUNTED = /^network_.*_bytes$/;
/** Shown in a chart's note, so not in the table. */
const NOTED = ["cpu_count", "load", "memory_used_bytes", "memory_total_bytes"];

const processorNote = ({ cpu_count: cores, load }) =>
  [cores && t("shell.cores", { count: cores }), load && t("shell.load", { load: figure("load", load) })].filter(Boolean).join(" · ");
const memoryNote = ({ memory_used_bytes: used, memory_total_bytes: total }) => (total ? t("shell.used", { used: bytes(used), total: bytes(total) }) : "");

/** The change a second of a counter since boot. The count alone does not show what happens now. */
function rate(key, now, before) {
  const [more, seconds] = [now.data[key] - before?.data[key], (now.time - before?.time) / 1000];
  return COUNTED.test(key) && more >= 0 && seconds > 0 ? `${bytes(more / seconds)}/s · ` : "";
}

export class StatusPanel {
  constructor(root) {
    const chart = (name, keys) => new Chart(root.querySelector(`[data-chart=${name}]`), keys);
    Object.assign(this, { root, parts: parts(root), cells: new Map(), last: null });
    this.processor = chart("processor", ["cpu_percent"]);
    this.memory = chart("memory", ["memory_percent", "memory_bytes"]);
  }

  clear(name) {
    this.last = null;
    this.root.dataset.wukong = "unknown";
    for (const chart of [this.processor, this.memory]) chart.clear();
    this.#rebuild([]);
    this.parts.empty.hidden = true;
    say(this.parts, { name, kind: "", state: "", reported: "" });
  }

  /** Draws a status once, even if it arrives twice (at once, and replayed). */
  show(wukong) {
    const { name, kind, state, data } = wukong;
    this.root.dataset.wukong = state;
    const reported = t("shell.reported", { time: time(wukong.time) });
    say(this.parts, { name, kind: named("shell.kind", kind), state: named("shell.wukong", state), reported });
    if (wukong.time === this.last?.time) return;
    const drawn = [this.processor.push(wukong.time, data, processorNote(data)), this.memory.push(wukong.time, data, memoryNote(data))];
    this.#tabulate(wukong, Object.keys(data).filter((key) => ![...drawn, ...NOTED].includes(key)));
    this.parts.empty.hidden = Object.keys(data).length > 0;
    this.last = wukong;
  }

  /** Keeps the cells while the keys stay the same, so that a selection or a screen reader's place survives an update. */
  #tabulate(wukong, keys) {
    const shown = keys.slice(0, MAX_FACTS);
    if (shown.join("\n") !== [...this.cells.keys()].join("\n")) this.#rebuild(shown);
    for (const [key, cell] of this.cells) cell.textContent = rate(key, wukong, this.last) + figure(key, wukong.data[key]);
  }

  #rebuild(keys) {
    this.cells = new Map(keys.map((key) => [key, document.createElement("dd")]));
    this.parts.facts.replaceChildren(...[...this.cells].map(([key, cell]) => {
      const [row, term] = [document.createElement("div"), document.createElement("dt")];
      term.textContent = label(key);
      row.append(term, cell);
      return row;
    }));
  }
}
