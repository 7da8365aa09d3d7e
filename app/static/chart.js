/** One figure over the last minutes: its value now, a note, and a line whose right edge is the last value. */

import { figure } from "./format.js";
import { parts, say } from "./parts.js";

const WINDOW_SECONDS = 300; // as the viewBox of panel.html
const HEIGHT = 20;
/** No value for this time is missed data: the line breaks there. */
const BREAK_SECONDS = 15;
/** The smallest scale of each figure: on a smaller one, noise looks like a change. */
const FLOORS = { cpu_percent: 25, memory_percent: 25, memory_bytes: 2 ** 20, log_bytes: 2 ** 20, listeners: 10, published_per_second: 10, publish_ms: 1, delivery_ms: 1 };

/** Doubling steps keep the scale still while the figure moves. */
const scaleTop = (highest, floor) => floor * 2 ** Math.ceil(Math.log2(Math.max(1, highest / floor)));

/** Runs of [x, y] points. */
function runs(points, top) {
  const found = [];
  const end = points.at(-1)?.time;
  for (const [index, { time, value }] of points.entries()) {
    const isBroken = !index || time - points[index - 1].time > BREAK_SECONDS * 1000;
    if (isBroken) found.push([]);
    found.at(-1).push([(WINDOW_SECONDS - (end - time) / 1000).toFixed(1), (HEIGHT * (1 - value / top)).toFixed(2)]);
  }
  return found;
}

const line = (run) => `M${run.map((point) => point.join(" ")).join("L")}h0`;
const area = (run) => `${line(run)}V${HEIGHT}H${run[0][0]}Z`;

export class Chart {
  /** Draws the first of `keys` that the data has: a host reports a share of its memory, a worker only bytes. */
  constructor(root, keys) {
    Object.assign(this, { root, keys, parts: parts(root), points: [] });
  }

  clear() {
    this.points = [];
    this.root.hidden = false;
    this.#show(1, { value: "–", unit: "", note: "", scale: "" });
  }

  /** Returns the key that it draws, if the data has one. */
  push(time, data, note) {
    const key = this.keys.find((each) => Number.isFinite(data[each]));
    this.root.hidden = !key && !("always" in this.root.dataset);
    if (key) {
      const since = time - WINDOW_SECONDS * 1000;
      this.points = [...this.points.filter((point) => point.time >= since), { time, value: data[key] }];
      const top = scaleTop(Math.max(...this.points.map(({ value }) => value)), FLOORS[key]);
      const [value, unit = ""] = figure(key, data[key]).split(" ");
      this.#show(top, { value, unit, note, scale: figure(key, top).replace(".0", "") });
    }
    return key;
  }

  #show(top, texts) {
    const drawn = runs(this.points, top);
    this.parts.line.setAttribute("d", drawn.map(line).join(""));
    this.parts.area.setAttribute("d", drawn.map(area).join(""));
    say(this.parts, texts);
  }
}
