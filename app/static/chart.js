/** One figure over time: its value now, a note, and a line of the last values. */

import { figure } from "./format.js";
import { parts, say } from "./parts.js";

export const MAX_VALUES = 60;
const HEIGHT = 20;
/** The smallest scale of each figure: on a smaller one, noise looks like a change. */
const FLOORS = { cpu_percent: 25, memory_percent: 25, memory_bytes: 2 ** 20 };

/** Doubling steps keep the scale still while the figure moves. */
const scaleTop = (highest, floor) => floor * 2 ** Math.ceil(Math.log2(Math.max(1, highest / floor)));

/** Runs of [x, y] points, newest at the right edge. A null is missed data: the line breaks there. */
function runs(values, top) {
  const found = [[]];
  values.forEach((value, index) => {
    if (value === null) found.push([]);
    else found.at(-1).push([MAX_VALUES - values.length + index, HEIGHT * (1 - value / top)]);
  });
  return found.filter((run) => run.length > 0);
}

const line = (run) => `M${run.map((point) => point.join(" ")).join("L")}h0`;
const area = (run) => `${line(run)}V${HEIGHT}H${run[0][0]}Z`;

export class Chart {
  /** Draws the first of `keys` that the data has: a host reports a share of its memory, a worker only bytes. */
  constructor(root, keys) {
    Object.assign(this, { root, keys, parts: parts(root), values: [] });
  }

  clear() {
    this.values = [];
    this.root.hidden = false;
    this.#show(1, { value: "–", unit: "", note: "", scale: "" });
  }

  /** Returns the key that it draws, if the data has one. */
  push(data, note) {
    const key = this.keys.find((each) => Number.isFinite(data[each]));
    this.root.hidden = !key;
    if (key) {
      this.keep(data[key]);
      const top = scaleTop(Math.max(...this.values), FLOORS[key]);
      const [value, unit] = figure(key, data[key]).split(" ");
      this.#show(top, { value, unit, note, scale: figure(key, top).replace(".0", "") });
    }
    return key;
  }

  keep(value) {
    this.values = [...this.values, value].slice(-MAX_VALUES);
  }

  #show(top, texts) {
    const drawn = runs(this.values, top);
    this.parts.line.setAttribute("d", drawn.map(line).join(""));
    this.parts.area.setAttribute("d", drawn.map(area).join(""));
    say(this.parts, texts);
  }
}
