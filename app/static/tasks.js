/** Tasks in a browser: a form starts one, a row shows each. A reload finds them again: the service keeps their state. */

import { API, call, listen, send, sentenceOf } from "./api.js";
import { follow } from "./connection.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { has, named, number, t } from "./text.js";
import { onToken } from "./token.js";

const door = document.getElementById("door");
const rows = document.getElementById("rows");
const hint = document.getElementById("hint");
const template = document.getElementById("row");
/** The rows of the tasks, by their channels. */
const views = new Map();

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
  await call("POST", "process", bodyOf(door.elements));
  open();
}

/** One stream for all tasks: their states, then what happens to them. It knows the tasks that were there when it was opened. */
function open() {
  follow(listen("process/stream", HANDLERS), open);
}

/** With another token the page must not show what it has: it might be another user's. */
function forget() {
  views.clear();
  rows.replaceChildren();
  tell("");
}

const ofTask = (stateOf) => (data, id, channel) => {
  if (!channel?.startsWith("run:")) return; // it is for all listeners, and of no task
  if (!views.has(channel)) return open(); // another page has started it
  show(views.get(channel), stateOf(data));
  showCount();
};

const HANDLERS = {
  tasks(states) {
    forget();
    for (const state of states.sort((a, b) => a.started - b.started)) add(state);
    showCount();
  },
  progress: ofTask((data) => ({ status: "running", ...data })),
  complete: ofTask(({ result }) => ({ status: "complete", progress: 100, result })),
  failed: ofTask((error) => ({ status: "failed", error })),
  cancelled: ofTask(() => ({ status: "cancelled" })),
};

function showCount() {
  const running = [...views.values()].filter(({ row }) => row.dataset.status === "running").length;
  tell(running ? t("tasks.running", { count: running }) : t(views.size ? "tasks.idle" : "tasks.empty"));
}

function add(state) {
  const row = template.content.firstElementChild.cloneNode(true);
  const view = { row, id: state.task_id, ...parts(row) };
  row.dataset.task = view.id;
  views.set(`run:${view.id}`, view);
  say(view, { kind: named("tasks.kind", state.kind), started: time(state.started) });
  view.cancel.addEventListener("click", () => attempt(() => call("DELETE", `process/${view.id}`)));
  view.download.addEventListener("click", () => attempt(() => download(view.id)));
  rows.prepend(row);
  show(view, state);
}

function show({ row, bar, cancel, download, facts, ...view }, { status, progress, message, result, error, kind }) {
  row.dataset.status = status;
  if (progress !== undefined) bar.value = progress;
  say(view, { message: error ? sentenceOf(error) : (has(`tasks.end.${status}`) ? t(`tasks.end.${status}`) : message) });
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
onToken(() => {
  forget();
  open();
});
open();
