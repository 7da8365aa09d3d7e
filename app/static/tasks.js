/** Tasks in a browser: a form starts one, a row shows each. A reload finds them again: the service keeps their state. */

import { time } from "./format.js";
import { parts, say } from "./parts.js";

const API = new URL("api/v1/", document.baseURI).href;
const NAMES = { checksum: "Checksum", compress: "Compress", wordcount: "Count words" };
const ENDS = { complete: "Done.", cancelled: "Cancelled." };
const TOKEN = "simulcast-token";
const AGAIN_MS = 2_000;

const door = document.getElementById("door");
const rows = document.getElementById("rows");
const hint = document.getElementById("hint");
const template = document.getElementById("row");

const tell = (text) => (hint.textContent = text);
const credentials = () => (door.elements.token.value ? { Authorization: `Bearer ${door.elements.token.value}` } : {});

/** Sends a request; throws an error with the service's message. */
async function call(method, path, body) {
  const response = await fetch(API + path, { method, headers: credentials(), body });
  if (!response.ok) throw new Error((await response.json()).error.message);
  return response;
}

const json = async (...request) => (await call(...request)).json();

/** Runs what a user has asked for, and shows why it failed. */
const attempt = (act) => act().catch((error) => tell(error.message));

function bodyOf({ kind, file, bytes }) {
  const chosen = file.files[0];
  if (kind.value === "checksum" && !chosen) return JSON.stringify({ kind: "checksum", options: { bytes: bytes.valueAsNumber } });
  const form = new FormData();
  form.set("kind", kind.value);
  if (chosen) form.set("file", chosen);
  return form;
}

async function start() {
  tell(door.elements.file.files[0] ? "Sending the file…" : "");
  add(await json("POST", "process", bodyOf(door.elements)));
  tell("");
}

async function load() {
  const { tasks } = await json("GET", "process");
  const states = await Promise.all(tasks.map(({ task_id }) => json("GET", `process/${task_id}`)));
  rows.replaceChildren();
  for (const state of states.sort((a, b) => a.started - b.started)) add(state);
  tell(tasks.length ? "" : "You have no tasks. Start one.");
}

function add(state) {
  const row = template.content.firstElementChild.cloneNode(true);
  const view = { row, id: state.task_id, ...parts(row) };
  row.dataset.task = view.id;
  say(view, { kind: NAMES[state.kind], started: time(state.started) });
  view.cancel.addEventListener("click", () => attempt(() => call("DELETE", `process/${view.id}`)));
  view.download.addEventListener("click", () => attempt(() => download(view.id)));
  rows.prepend(row);
  show(view, state);
  if (state.status === "running") attempt(() => follow(view));
}

function show({ row, bar, cancel, download, facts, ...view }, { status, progress, message, result, error, kind }) {
  row.dataset.status = status;
  if (progress !== undefined) bar.value = progress;
  say(view, { message: error?.message ?? ENDS[status] ?? message });
  cancel.hidden = status !== "running";
  download.hidden = !(status === "complete" && result && "compressed_bytes" in result);
  facts.replaceChildren(...Object.entries(result ?? {}).map(fact));
}

function fact([name, value]) {
  const [row, key, shown] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
  key.textContent = name.replaceAll("_", " ");
  shown.textContent = Array.isArray(value) ? value.map(({ word, count }) => `${word} ${count.toLocaleString()}`).join(", ") : typeof value === "number" ? value.toLocaleString() : value;
  row.append(key, shown);
  return row;
}

/** An EventSource can't send a header, so a token is changed for a ticket. */
async function follow(view) {
  const query = door.elements.token.value ? `?ticket=${(await json("POST", "tickets")).ticket}` : "";
  const source = new EventSource(`${API}process/${view.id}/progress${query}`);
  const on = (type, handle) => source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
  on("progress", (data) => show(view, { status: "running", ...data }));
  on("complete", ({ result }) => show(view, { status: "complete", progress: 100, result }));
  on("failed", (error) => show(view, { status: "failed", error }));
  on("cancelled", () => show(view, { status: "cancelled" }));
  on("closed", ({ reconnect }) => reconnect || source.close());
  source.onerror = () => source.readyState === EventSource.CLOSED && setTimeout(() => attempt(() => follow(view)), AGAIN_MS);
}

async function download(id) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await call("GET", `process/${id}/result`)).blob());
  link.download = `${id}.gz`;
  link.click();
  URL.revokeObjectURL(link.href);
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(start);
});
door.elements.token.addEventListener("change", ({ target }) => {
  sessionStorage.setItem(TOKEN, target.value); // of this tab, until it is closed: so the bars survive a reload
  attempt(load);
});
door.elements.token.value = sessionStorage.getItem(TOKEN) ?? "";
attempt(load);
