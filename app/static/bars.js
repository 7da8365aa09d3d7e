/** Amounts as bars: the longest is the largest. */

import { element } from "./parts.js";
import { number } from "./text.js";

/** Shows pairs of a name and an amount. */
export function showBars(list, pairs) {
  const most = Math.max(1, ...pairs.map(([, amount]) => amount));
  list.replaceChildren(...pairs.map(([name, amount]) => {
    const [row, bar] = [element("li"), element("i")];
    bar.style.inlineSize = `${(100 * amount) / most}%`;
    row.append(element("span", "", name), element("span", "", number(amount)), bar);
    return row;
  }));
}
