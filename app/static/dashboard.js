/** Wires the dashboard: one stream feeds a row for each machine, and the panel of the chosen one. */

import { API, call, listen } from "./api.js";
import { follow } from "./connection.js";
import { wireCopies } from "./copy.js";
import { figure } from "./format.js";
import { parts, say } from "./parts.js";
import { MAX_SAMPLES, STREAM, statusOf } from "./samples.js";
import { StatusPanel } from "./status.js";
import { t } from "./text.js";
import { onToken } from "./token.js";

const main = document.getElementById("main");
const list = parts(document.getElementById("list"));
const panel = new StatusPanel(main);
/** Each machine, with its row and its last samples: the chart of another one is not empty when it is chosen. */
const machines = new Map();
let shown = "";

const chosen = () => (machines.has(hash()) ? hash() : (machines.keys().next().value ?? ""));

/** A hash typed by hand may have an invalid escape. */
function hash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function keep(sample) {
  if (!machines.has(sample.host)) machines.set(sample.host, { link: addRow(sample.host), samples: [] });
  const machine = machines.get(sample.host);
  machine.samples = [...machine.samples, sample].slice(-MAX_SAMPLES);
  machine.link.lastChild.textContent = figure("cpu_percent", sample.cpu.usage);
  say(list, { note: "" });
  if (chosen() !== shown) choose();
  else if (sample.host === shown) panel.show(statusOf(sample));
}

function choose() {
  shown = chosen();
  panel.clear(shown || "…");
  for (const [host, { link }] of machines) link.ariaCurrent = host === shown ? "true" : null;
  for (const sample of machines.get(shown)?.samples ?? []) panel.show(statusOf(sample));
}

function addRow(host) {
  const [row, link] = [document.createElement("li"), document.createElement("a")];
  link.append(document.createElement("span"), document.createElement("span"));
  Object.assign(link, { href: `#${encodeURIComponent(host)}`, title: host });
  link.firstChild.textContent = host;
  row.dataset.state = "online";
  row.append(link);
  list.rows.append(row);
  return link;
}

/** What the stream has missed of this machine; of the others nothing is there any longer. */
async function showPast() {
  const { host, samples } = await call("GET", "dashboard/past").catch(() => ({}));
  if (machines.has(host)) machines.get(host).samples = samples;
  choose();
}

function open() {
  for (const machine of machines.values()) machine.samples = []; // the stream begins with the last ones
  choose();
  say(list, { note: machines.size ? "" : t("dashboard.waiting") });
  follow(listen(STREAM, { metrics: keep, gap: showPast }), open, { looksItself: true });
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the chosen machine
  main.focus();
});
addEventListener("hashchange", choose);
onToken(open);
document.getElementById("command").textContent = `curl -N "${API}${STREAM}"`;
wireCopies();
open();
