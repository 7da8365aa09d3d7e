/** Tasks in a browser: a form starts one, a row shows each. A reload finds them again: the service keeps their state. */

import { API, call, listen, send } from "./api.js";
import { showState } from "./connection.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { has, named, number, t } from "./text.js";
import { onToken } from "./token.js";

/** The states of a connection, the worst first: the page shows the worst of its tasks' connections. */
const STATES = ["offline", "reconnecting", "stale", "connecting", "live"];

const door = document.getElementById("door");
const rows = document.getElementById("rows");
const hint = document.getElementById("hint");
const template = document.getElementById("row");
const followed = new Set();

const tell = (text) => (hint.textContent = text);

/** Runs what a user has asked for, and shows why it failed. */
const attempt = (act) => act().catch((error) => tell(error.message));

function bodyOf({ kind, file, bytes }) {
  const chosen = file.files[0];
  if (kind.value === "checksum" && !chosen) return { kind: "checksum", options: { bytes: bytes.valueAsNumber } };
  const form = new FormData();
  form.set("kind", kind.value);
  if (chosen) form.set("file", chosen);
  return form;
}

async function start() {
  tell(door.elements.file.files[0] ? t("tasks.sending") : "");
  add(await call("POST", "process", bodyOf(door.elements)));
  tell("");
}

async function load() {
  forget();
  const { tasks } = await call("GET", "process");
  const states = await Promise.all(tasks.map(({ task_id }) => call("GET", `process/${task_id}`)));
  for (const state of states.sort((a, b) => a.started - b.started)) add(state);
  tell(tasks.length ? "" : t("tasks.empty"));
}

function add(state) {
  const row = template.content.firstElementChild.cloneNode(true);
  const view = { row, id: state.task_id, ...parts(row) };
  row.dataset.task = view.id;
  say(view, { kind: named("tasks.kind", state.kind), started: time(state.started) });
  view.cancel.addEventListener("click", () => attempt(() => call("DELETE", `process/${view.id}`)));
  view.download.addEventListener("click", () => attempt(() => download(view.id)));
  rows.prepend(row);
  show(view, state);
  if (state.status === "running") follow(view);
}

function show({ row, bar, cancel, download, facts, ...view }, { status, progress, message, result, error, kind }) {
  row.dataset.status = status;
  if (progress !== undefined) bar.value = progress;
  say(view, { message: error?.message ?? (has(`tasks.end.${status}`) ? t(`tasks.end.${status}`) : message) });
  cancel.hidden = status !== "running";
  download.hidden = !(status === "complete" && result && "compressed_bytes" in result);
  facts.replaceChildren(...Object.entries(result ?? {}).map(fact));
}

function fact([name, value]) {
  const row = element("div");
  row.append(element("dt", "", named("tasks.fact", name)), element("dd", "", shownOf(value)));
  return row;
}

function shownOf(value) {
  if (Array.isArray(value)) return value.map(({ word, count }) => `${word} ${number(count)}`).join(", ");
  return typeof value === "number" ? number(value) : value;
}

function follow(view) {
  const connection = listen(`process/${view.id}/progress`, {
    progress: (data) => show(view, { status: "running", ...data }),
    complete: ({ result }) => show(view, { status: "complete", progress: 100, result }),
    failed: (error) => show(view, { status: "failed", error }),
    cancelled: () => show(view, { status: "cancelled" }),
  });
  followed.add(connection);
  connection.onState(({ state }) => {
    if (state === "closed") followed.delete(connection);
    showWorst();
  });
}

function showWorst() {
  const states = new Set([...followed].map(({ status }) => status.state));
  showState(STATES.find((state) => states.has(state)) ?? "outside", t(followed.size ? "tasks.running" : "tasks.idle", { count: followed.size }));
}

function forget() {
  for (const connection of followed) connection.close();
  rows.replaceChildren();
  showWorst();
}

async function download(id) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await send("GET", `${API}process/${id}/result`)).blob());
  link.download = `${id}.gz`;
  link.click();
  URL.revokeObjectURL(link.href);
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(start);
});
onToken(() => attempt(load));
attempt(load);
