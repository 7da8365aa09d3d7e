/** Wires the dashboard: one stream feeds a row for each machine, and the panel of the chosen one. */

import { API, listen } from "./api.js";
import { MAX_VALUES } from "./chart.js";
import { follow } from "./connection.js";
import { figure } from "./format.js";
import { parts, say } from "./parts.js";
import { StatusPanel } from "./status.js";
import { t } from "./text.js";
import { onToken } from "./token.js";

const STREAM = `dashboard/stream?history=${MAX_VALUES}`;

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

/** The sample in the words of the panel. */
function statusOf({ host, timestamp, cpu, memory, requests, listeners, events_per_second }) {
  const total = memory.used + memory.available;
  const data = {
    cpu_percent: cpu.usage, cpu_count: cpu.cores, memory_percent: (100 * memory.used) / total,
    memory_used_bytes: memory.used, memory_total_bytes: total,
    listeners, events_per_second, requests: requests.total, requests_failed: requests.failed, threads: cpu.threads,
  };
  return { name: host, kind: "machine", state: "online", time: timestamp, data };
}

function keep(sample) {
  if (!machines.has(sample.host)) machines.set(sample.host, { link: addRow(sample.host), samples: [] });
  const machine = machines.get(sample.host);
  machine.samples = [...machine.samples, sample].slice(-MAX_VALUES);
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

function open() {
  for (const machine of machines.values()) machine.samples = []; // the stream begins with the last ones
  choose();
  say(list, { note: machines.size ? "" : t("dashboard.waiting") });
  follow(listen(STREAM, { metrics: keep, gap: () => panel.break() }), open);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the chosen machine
  main.focus();
});
addEventListener("hashchange", choose);
onToken(open);
document.getElementById("command").textContent = `curl -N "${API}${STREAM}"`;
open();
