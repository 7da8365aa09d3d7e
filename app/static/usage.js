/** Usage in a browser: the last records at once, then each as it comes; older ones when the table is scrolled to them. */

import { API, call, listen, send } from "./api.js";
import { showBars } from "./bars.js";
import { follow, showState, tell } from "./connection.js";
import { time } from "./format.js";
import { parts, say } from "./parts.js";
import { Rows } from "./rows.js";
import { number, t } from "./text.js";
import { onToken } from "./token.js";

const MAX_ROWS = 100_000;
/** The most that a stream begins with, and that a page of older records has. */
const PAGE_ROWS = 1_000;
const FLUSH_MS = 50;
/** A sum reads the whole range in the database, so a page asks for it rarely. */
const SUM_MS = 10_000;
const TICK_MS = 1_000;
const MAX_MODELS = 6;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** With more bars than these a bar is too thin to see. */
const MAX_HOURS = 48;

const door = document.getElementById("door");
const shown = parts(document.getElementById("main"));
const rows = new Rows(document.getElementById("records"), 4, { at: (index) => records.at(-1 - index), fill, onEnd: loadOlder });

/** In the order of their times, the oldest first. The table shows them from the end. */
let records = [];
let ids = new Set();
let pending = [];
let flushTimer = 0;
let isLive = false;
let older = { more: true, loading: false };
let sums = { count: 0, isOld: false, askedMs: 0 };
/** Counts the calls of `open`: answers to an earlier one are dropped. */
let round = 0;

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
    const { usage } = await call("GET", `usage?${query}`);
    if (mine !== older) return;
    mine.more = usage.length === PAGE_ROWS;
    add(usage);
  } catch (error) {
    tell(t("usage.older.failed", { message: error.message }));
    mine.more = false;
  } finally {
    mine.loading = false;
    showLoaded();
    rows.draw();
  }
}

function showLoaded() {
  const end = older.loading ? "usage.older.loading" : records.length >= MAX_ROWS ? "usage.full" : records.length < sums.count ? "usage.older" : "";
  const isEmpty = !records.length && !pending.length && isLive;
  const loaded = records.length ? [t("usage.loaded", { count: records.length }), end && t(end)].join(" ") : t(isEmpty ? "usage.empty" : "usage.waiting");
  shown.table.setAttribute("aria-rowcount", records.length + 1);
  say(shown, { loaded });
}

/** Asks for both sums. Throws what `send` throws. */
async function sum(mine = round) {
  sums = { ...sums, isOld: false, askedMs: Date.now() };
  const answers = await Promise.all(["model", "hour"].map((by) => send("GET", `${API}usage/summary?${new URLSearchParams({ hours: hours(), by })}`)));
  const [byModel, byHour] = await Promise.all(answers.map((answer) => answer.json()));
  if (mine !== round) return;
  sums.count = byModel.count;
  const nowMs = Date.parse(answers[0].headers.get("Date")) || Date.now(); // the clock of this device may be wrong
  const since = new Date(nowMs - byHour.hours * HOUR_MS).toISOString();
  if (records.length && records[0].createdAt < since) change(records.filter(({ createdAt }) => createdAt >= since));
  const total = t("usage.total", { count: byModel.count, credits: byModel.creditsUsed });
  say(shown, { total, spoken: total });
  shown.sums.hidden = !byModel.count;
  showModels(byModel.groups);
  showTimes(byHour, nowMs);
  showLoaded();
}

function showModels(groups) {
  const rest = groups.slice(MAX_MODELS).reduce((all, { creditsUsed }) => all + creditsUsed, 0);
  const bars = groups.slice(0, MAX_MODELS).map(({ model, creditsUsed }) => [model, creditsUsed]);
  if (rest) bars.push([t("usage.others", { count: groups.length - MAX_MODELS }), rest]);
  showBars(shown.models, bars);
}

/** A bar for each hour, or for each day of this device's clock if there are many hours. */
function showTimes({ hours: count, groups }, nowMs) {
  const isDaily = count > MAX_HOURS;
  const beginOf = (ms) => (isDaily ? new Date(ms).setHours(0, 0, 0, 0) : Math.floor(ms / HOUR_MS) * HOUR_MS);
  const first = beginOf(nowMs - count * HOUR_MS);
  const placeOf = (ms) => Math.round((beginOf(ms) - first) / (isDaily ? DAY_MS : HOUR_MS)); // a day may have 23 or 25 hours
  const heights = new Map();
  for (const { hour, creditsUsed } of groups) {
    const place = placeOf(Date.parse(hour));
    heights.set(place, (heights.get(place) ?? 0) + creditsUsed);
  }
  const most = Math.max(1, ...heights.values());
  const bars = placeOf(nowMs) + 1;
  const unit = isDaily ? "day" : "hour";
  shown.plot.setAttribute("viewBox", `0 0 ${bars} 20`);
  shown.plot.setAttribute("aria-label", t(`usage.plot.${unit}`, { bars, most }));
  shown.bars.setAttribute("d", [...heights].map(([place, credits]) => `M${place + 0.1} 20v${(-20 * credits) / most}h.8V20Z`).join(""));
  say(shown, { times: t(`usage.by.${unit}`), span: t("usage.span", { since: time(first) }), scale: t(`usage.most.${unit}`, { most }) });
}

const HANDLERS = {
  usage: later,
  gap: clear, // the snapshot that follows begins behind what was missed
};

async function open() {
  const mine = ++round;
  showState("connecting");
  [isLive, sums.count] = [false, 0];
  clear();
  say(shown, { total: "" });
  shown.sums.hidden = true;
  try {
    await sum(mine);
  } catch (error) {
    if (mine === round && error.status) return showState("closed", error.message);
  } // without a network, the stream tries again
  if (mine !== round) return;
  const connection = listen(`usage/stream?${new URLSearchParams({ hours: hours() })}`, HANDLERS);
  connection.onState(({ state }) => {
    isLive = state === "live";
    showLoaded();
  });
  follow(connection, open);
}

function sumAgain() {
  if (sums.isOld && Date.now() - sums.askedMs > SUM_MS && !document.hidden) sum().catch(() => (sums.isOld = true));
}

door.elements.hours.addEventListener("change", open);
onToken(open);
setInterval(sumAgain, TICK_MS);
open();
