/** Wires the page for operators: figures of the last minutes, and incidents as they happen. */

import { call, listen } from "./api.js";
import { showBars } from "./bars.js";
import { Chart } from "./chart.js";
import { follow } from "./connection.js";
import { bytes, duration, time } from "./format.js";
import { Channels, Listeners } from "./operators.js";
import { element, parts, say } from "./parts.js";
import { named, number, t } from "./text.js";

const MAX_ROWS = 60;
const MAX_INCIDENTS = 200;
const TICK_MS = 5_000;

const door = document.getElementById("door").elements;
const shown = parts(document.getElementById("main"));
const incidents = document.getElementById("incidents");
const chart = (name, key) => new Chart(document.querySelector(`[data-chart=${name}]`), [key]);
const charts = [chart("listeners", "listeners"), chart("published", "published_per_second"), chart("publish", "publish_ms"), chart("delivery", "delivery_ms")];
const listeners = new Listeners(door, shown);
const tables = [listeners, new Channels(door, shown)];
/** The rows of each machine, in the order of their times. */
const machines = new Map();
let began = 0;

/** A latency is the bound below which 99 of 100 lie; the note has that of the half. */
function draw(row) {
  const [publish, delivery] = [row.publish_ms, row.delivery_ms];
  const half = (measured) => (measured ? t("ops.half", { ms: measured.p50 }) : t("ops.nothing"));
  const notes = [t("ops.parked", { count: row.parked }), t("ops.delivered", { count: row.delivered_per_second }), half(publish), half(delivery)];
  charts.forEach((one, index) => one.push(row.time, { ...row, publish_ms: publish?.p99, delivery_ms: delivery?.p99 }, notes[index]));
}

function showNewest(row) {
  draw(row);
  say(shown, { about: t("ops.about", { count: row.workers, host: row.host, time: time(row.time) }) });
  const facts = {
    uptime: began ? duration((row.time - began) / 1000) : "–", lag: t("shell.second", { count: row.lag_seconds }),
    log: bytes(row.log_bytes), wal: bytes(row.write_ahead_bytes), overflows: number(row.overflows), refused: number(row.refused),
  };
  shown.facts.replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const fact = element("div");
    fact.append(element("dt", "", t(`ops.fact.${name}`)), element("dd", "", value));
    return fact;
  }));
  showBars(shown.closed, sorted(row.closed, "ops.reason"));
  showBars(shown.gaps, sorted(row.gaps, "shell.gap"));
}

/** The amounts with their names in words, the largest first. */
const sorted = (amounts, kind) => Object.entries(amounts).map(([name, count]) => [named(kind, name), count]).sort(([, a], [, b]) => b - a);

/** Keeps rows of one machine, whatever their order, each once: some come by both ways. */
function keep(rows) {
  const { host } = rows[0];
  if (!machines.has(host)) door.host.append(new Option(host));
  const byTime = new Map([...(machines.get(host) ?? []), ...rows].map((row) => [row.time, row]));
  machines.set(host, [...byTime.values()].sort((a, b) => a.time - b.time).slice(-MAX_ROWS));
  if (host === door.host.value) choose();
}

function choose() {
  for (const one of charts) one.clear();
  const rows = machines.get(door.host.value) ?? [];
  rows.forEach(draw);
  if (rows.length) showNewest(rows.at(-1));
}

function addIncidents(some) {
  for (const { time: ms, kind, reason, listener, user, channels, encoding, host } of some) {
    const row = element("li");
    Object.assign(row.dataset, { kind, reason });
    const text = kind === "closed" ? named("ops.reason", reason) : kind === "gap" ? t("ops.gap", { reason: named("shell.gap", reason) }) : t("ops.lagging");
    const about = [listener, user, channels.join(", "), encoding, host].filter(Boolean).join(" · ");
    row.append(element("time", "", time(ms)), element("b", "", text), element("small", "", about));
    incidents.prepend(row);
  }
  while (incidents.children.length > MAX_INCIDENTS) incidents.lastChild.remove();
}

function open() {
  machines.clear();
  listeners.forget();
  door.host.replaceChildren();
  incidents.replaceChildren();
  for (const one of charts) one.clear();
  const connection = listen("ops/stream", {
    figures: (row) => keep([row]),
    incidents: addIncidents,
    lags: (one) => listeners.lag(one),
    connected: () => load(connection),
  });
  follow(connection, open);
}

/** What the stream does not tell. It has let this page in. */
async function load(connection) {
  for (const table of tables) table.load();
  const past = await call("GET", "ops").catch(() => null);
  if (!past || connection.status.state === "closed") return;
  began = past.began;
  if (past.rows.length) keep(past.rows);
}

door.host.addEventListener("change", choose);
document.getElementById("door").addEventListener("submit", open);
setInterval(() => document.body.dataset.connection === "live" && !document.hidden && tables.forEach((table) => table.load()), TICK_MS);
open();
