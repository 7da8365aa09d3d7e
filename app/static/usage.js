/** Usage in a browser: the last records at once, then each as it comes; older ones when the table is scrolled to them. */

import { API, call, send } from "./api.js";
import { showConnection } from "./connection.js";
import { number, time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { Rows } from "./rows.js";
import { Stream } from "./stream.js";

const MAX_ROWS = 100_000;
/** The most that a stream begins with, and that a page of older records has. */
const PAGE_ROWS = 1_000;
const FLUSH_MS = 50;
/** A sum reads the whole range in the database, so a page asks for it rarely. */
const SUM_MS = 10_000;
const TICK_MS = 1_000;
const MAX_MODELS = 6;
const HOUR_MS = 3_600_000;
const TOKEN = "simulcast-token";

const main = document.getElementById("usage");
const door = document.getElementById("door");
const shown = parts(main);
const rows = new Rows(document.getElementById("records"), 4, { at: (index) => records.at(-1 - index), fill, onEnd: loadOlder });

/** In the order of their times, the oldest first. The table shows them from the end. */
let records = [];
let ids = new Set();
let pending = [];
let flushTimer = 0;
let stream = null;
let notice = "";
let older = { more: true, loading: false };
let sums = { count: 0, isOld: false, askedMs: 0 };
/** Counts the calls of `listen`: answers to an earlier one are dropped. */
let round = 0;

const token = () => door.elements.token.value;
const hours = () => door.elements.hours.value;
const isBefore = (a, b) => a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.id < b.id);
const inOrder = (a, b) => (isBefore(a, b) ? -1 : 1);

function fill([when, model, user, credits], record) {
  when.textContent = time(Date.parse(record.createdAt));
  model.textContent = record.model;
  user.textContent = record.user ?? "";
  credits.textContent = number(record.creditsUsed);
}

/** Shows other records, and keeps the topmost row in sight where it is, unless the newest is. */
function change(next) {
  const top = rows.top;
  const anchor = top ? records.at(-1 - top) : null;
  records = next.length > MAX_ROWS ? next.slice(-MAX_ROWS) : next;
  if (next.length !== records.length) ids = new Set(records.map(({ id }) => id));
  const index = anchor ? records.lastIndexOf(anchor) : -1;
  rows.resize(records.length, index < 0 ? 0 : records.length - 1 - index - top);
  showLoaded();
}

/** Adds those that are not there yet: a snapshot after a gap has records that came before. */
function add(some) {
  const fresh = some.filter(({ id }) => !ids.has(id) && ids.add(id));
  if (!fresh.length) return 0;
  fresh.sort(inOrder);
  const next = records.concat(fresh);
  if (records.length && isBefore(fresh[0], records.at(-1))) next.sort(inOrder);
  change(next);
  return fresh.length;
}

/** A burst is drawn once. A timer runs in a hidden tab too, so that `pending` stays short. */
function later(some) {
  if (!Array.isArray(some)) return; // a backend may publish anything to the channel
  pending.push(...some);
  flushTimer ||= setTimeout(flush, FLUSH_MS);
}

function flush() {
  flushTimer = 0;
  if (add(pending)) sums.isOld = true;
  pending = [];
  showLoaded();
}

function clear() {
  clearTimeout(flushTimer);
  [ids, pending, flushTimer, older] = [new Set(), [], 0, { more: true, loading: false }];
  change([]);
}

async function loadOlder() {
  if (older.loading || !older.more || records.length < PAGE_ROWS || records.length >= MAX_ROWS) return;
  const mine = older;
  mine.loading = true;
  showLoaded();
  try {
    const query = new URLSearchParams({ hours: hours(), before: records[0].id, limit: PAGE_ROWS });
    const { usage } = await call("GET", `usage?${query}`, token());
    if (mine !== older) return;
    mine.more = usage.length === PAGE_ROWS;
    add(usage);
  } catch (error) {
    notice = `Older records can’t be loaded now: ${error.message}`;
    mine.more = false;
    show();
  } finally {
    mine.loading = false;
    showLoaded();
    rows.draw();
  }
}

function showLoaded() {
  const isEmpty = !records.length && stream?.state === "live" && !pending.length;
  const end = older.loading ? "Loading older ones…" : records.length >= MAX_ROWS ? "The table is full." : records.length < sums.count ? "Scroll down for older ones." : "";
  const text = records.length ? `${number(records.length)} records loaded. ${end}` : isEmpty ? "No records in this time. New ones appear here at once." : "Waiting for the first records…";
  shown.table.setAttribute("aria-rowcount", records.length + 1);
  say(shown, { loaded: text });
}

/** Asks for both sums. Throws what `send` throws. */
async function sum(mine = round) {
  sums = { ...sums, isOld: false, askedMs: Date.now() };
  const answers = await Promise.all(["model", "hour"].map((by) => send("GET", `${API}usage/summary?${new URLSearchParams({ hours: hours(), by })}`, token())));
  const [byModel, byHour] = await Promise.all(answers.map((answer) => answer.json()));
  if (mine !== round) return;
  sums.count = byModel.count;
  const nowMs = Date.parse(answers[0].headers.get("Date")) || Date.now(); // the clock of this device may be wrong
  const since = new Date(nowMs - byHour.hours * HOUR_MS).toISOString();
  if (records.length && records[0].createdAt < since) change(records.filter(({ createdAt }) => createdAt >= since));
  const total = `${number(byModel.count)} records · ${number(byModel.creditsUsed)} credits`;
  say(shown, { total, spoken: total });
  shown.sums.hidden = !byModel.count;
  showModels(byModel.groups);
  showHours(byHour, nowMs);
  showLoaded();
}

function showModels(groups) {
  const rest = groups.slice(MAX_MODELS).reduce((all, { creditsUsed }) => all + creditsUsed, 0);
  const bars = groups.slice(0, MAX_MODELS).map(({ model, creditsUsed }) => [model, creditsUsed]);
  if (rest) bars.push([`${number(groups.length - MAX_MODELS)} others`, rest]);
  const most = Math.max(1, ...bars.map(([, credits]) => credits));
  shown.models.replaceChildren(...bars.map(([model, credits]) => {
    const [row, bar] = [element("li"), element("i")];
    bar.style.inlineSize = `${(100 * credits) / most}%`;
    row.append(element("span", "", model), element("span", "", number(credits)), bar);
    return row;
  }));
}

function showHours({ hours: count, groups }, nowMs) {
  const first = Math.floor(nowMs / HOUR_MS) - count;
  const most = Math.max(1, ...groups.map(({ creditsUsed }) => creditsUsed));
  const bar = ({ hour, creditsUsed }) => `M${Date.parse(hour) / HOUR_MS - first} 20v${(-20 * creditsUsed) / most}h.8V20Z`;
  shown.plot.setAttribute("viewBox", `0 0 ${count + 1} 20`);
  shown.plot.setAttribute("aria-label", `Credits in each of the last ${count + 1} hours, at most ${number(most)}`);
  shown.hours.setAttribute("d", groups.map(bar).join(""));
  say(shown, { span: `${time(first * HOUR_MS)} to now`, scale: `at most ${number(most)} an hour` });
}

function show() {
  if (!stream) return;
  showConnection(main, stream, notice);
  if (stream.state === "live") document.title = "Usage · Simulcast";
}

/** The service's answer to a request that no retry would help. */
function refuse(message) {
  main.dataset.connection = "closed";
  shown.again.hidden = false;
  say(shown, { label: "Closed", hint: message, loaded: "Nothing is shown." });
}

const HANDLERS = {
  usage: later,
  gap({ reason }) {
    clear(); // the snapshot that follows begins behind what was missed
    notice = `Some records were missed: ${reason}. The table was read again. (${time(Date.now())})`;
  },
};

function receive(type, data) {
  HANDLERS[type]?.(data);
  show();
  showLoaded();
}

async function listen() {
  const mine = ++round;
  stream?.close();
  [stream, notice, sums.count] = [null, "", 0];
  clear();
  main.dataset.connection = "connecting";
  say(shown, { label: "Connecting", tally: "", hint: "Waiting for the first records.", total: "" });
  shown.sums.hidden = true;
  try {
    const query = new URLSearchParams({ hours: hours() });
    await sum(mine).catch((error) => error.status && Promise.reject(error)); // without a network, the stream tries again
    if (token()) query.set("ticket", (await call("POST", "tickets", token())).ticket); // an EventSource can't send a header
    if (mine !== round) return;
    stream = new Stream(`${API}usage/stream?${query}`, receive);
    stream.open();
    show();
  } catch (error) {
    if (mine === round) refuse(error.message);
  }
}

function tick() {
  show();
  if (sums.isOld && Date.now() - sums.askedMs > SUM_MS && !document.hidden) sum().catch(() => (sums.isOld = true));
}

const wake = () => !document.hidden && stream?.wake();

door.addEventListener("submit", (event) => event.preventDefault());
door.addEventListener("change", () => {
  sessionStorage.setItem(TOKEN, token()); // of this tab, until it is closed
  listen();
});
shown.again.addEventListener("click", listen);
document.addEventListener("visibilitychange", wake);
window.addEventListener("online", wake);
door.elements.token.value = sessionStorage.getItem(TOKEN) ?? "";
setInterval(tick, TICK_MS);
listen();
