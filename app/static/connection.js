/** The line under the masthead: the state of the page's connection, in words. And the mark of content that is old. */

import { duration, time } from "./format.js";
import { parts, say } from "./parts.js";
import { named, has, t } from "./text.js";

const TICK_MS = 1_000;

const root = document.getElementById("connection");
const tokenField = document.querySelector("input[name=token]");
const shown = parts(root);
const main = document.getElementById("main");
let title = document.title;
let state = document.body.dataset.connection;
/** The connection that the line shows: `again` opens a new one, `hasBegun` tells whether a stream of it has begun, and goes on. */
let followed = null;
let notice = "";
/** Why a page begins anew: what it has missed. */
let missed = "";

/**
 * Shows this connection from now on, and closes the one before it. After a gap in its midst the page begins anew, because only the beginning
 * of a stream has all; unless it looks for the rest itself.
 */
export function follow(connection, again, { looksItself = false } = {}) {
  showState("connecting");
  const mine = (followed = { connection, again, looksItself, events: 0, lastMs: 0, aliveMs: 0, gap: missed, hasBegun: false });
  missed = "";
  const ifMine = (act) => (given) => mine === followed && act(given);
  connection.onState(ifMine(({ state }) => {
    mine.hasBegun &&= ["live", "stale"].includes(state);
    show();
  }));
  connection.onEvent(ifMine(() => Object.assign(mine, { events: mine.events + 1, lastMs: Date.now(), aliveMs: Date.now() })));
  connection.onGap(ifMine((gap) => tellGap(mine, gap)));
  connection.on("connected", ifMine(() => tellReturn(mine)));
  connection.on("heartbeat", ifMine(() => (mine.aliveMs = Date.now())));
  show();
}

/** Closes the connection, and shows what the page says instead: that it has none yet, or why. */
export function showState(ownState, hint = "", tally = "") {
  const { connection } = followed ?? {};
  followed = null;
  connection?.close();
  notice = hint;
  say(shown, { tally });
  enter(ownState, hint);
}

/** Says something beside a live connection, until the next such thing. */
export function tell(text) {
  notice = text;
  root.removeAttribute("data-gap");
  show();
}

export function retitle(text) {
  title = text;
  enter(state, shown.hint.textContent);
}

/** What was missed stays told, for the return that follows has not brought it. A position begins with the time of its event. */
function tellGap(mine, { reason, from = "", to = "" }) {
  const why = named("shell.gap", reason);
  const [fromMs, toMs] = [from, to].map((position) => parseInt(position, 10));
  mine.gap = fromMs < toMs ? t("shell.gap.between", { from: time(fromMs), to: time(toMs), reason: why }) : t("shell.gap", { reason: why });
  tell(mine.gap);
  root.dataset.gap = reason;
  if (mine.hasBegun && !mine.looksItself) {
    missed = mine.gap;
    mine.again();
  }
}

/** After a gap the page has got its data anew: each stream begins with it, or the page asks for it. */
function tellReturn(mine) {
  const now = time(Date.now());
  if (mine.gap) say(shown, { hint: (notice = `${mine.gap} ${t("shell.gap.again", { time: now })}`) });
  else if (mine.aliveMs) tell(t("shell.resumed", { time: now }));
  Object.assign(mine, { aliveMs: Date.now(), gap: "", hasBegun: true });
}

/** Content that is not live says up to when it is right. */
function markOld() {
  const isOld = followed?.aliveMs && state !== "live" && state !== "connecting";
  if (isOld) main.dataset.asOf = t("shell.asof", { time: time(followed.aliveMs) });
  else delete main.dataset.asOf;
}

/** A stream can be refused as any request can. */
function closedHint(reason) {
  if (has(`shell.closed.${reason}`)) return t(`shell.closed.${reason}`);
  return has(`shell.refused.${reason}`) ? t(`shell.refused.${reason}`) : t("shell.closed.other", { reason });
}

function hintOf({ state, reason, retryAt }) {
  const next = retryAt ? t("shell.next", { wait: duration(Math.ceil((retryAt - Date.now()) / 1000)) }) : t("shell.now");
  return {
    connecting: t("shell.hint.connecting"),
    live: notice,
    stale: t("shell.hint.stale"),
    reconnecting: `${named("shell.lost", has(`shell.lost.${reason}`) ? reason : "lost")} ${next}`,
    offline: `${navigator.onLine ? t("shell.lost.unreachable") : t("shell.hint.offline")} ${next}`,
    closed: closedHint(reason),
  }[state];
}

/** A page that begins without a token says what it needs, not that it was refused. */
const needsToken = ({ connection: { status }, aliveMs }) =>
  status.state === "closed" && status.reason === "unauthorized" && tokenField?.value === "" && !aliveMs;

/** Cheap enough to run every second. */
function show() {
  if (!followed) return enter(state, notice);
  const { connection, events, lastMs } = followed;
  const age = duration((Date.now() - lastMs) / 1000);
  say(shown, { tally: events ? t("shell.tally", { count: events, age }) : t("shell.tally.none") });
  if (needsToken(followed)) showState("outside", closedHint(connection.status.reason));
  else enter(connection.status.state, hintOf(connection.status));
  document.body.dataset.reason = connection.status.reason;
}

function enter(next, hint) {
  state = next;
  const label = t(`shell.state.${state}`);
  document.body.dataset.connection = state;
  document.body.dataset.reason = "";
  document.title = ["live", "outside"].includes(state) ? title : `${label} · ${title}`;
  say(shown, { label, hint });
  markOld();
  shown.again.hidden = !followed || !["reconnecting", "offline", "closed"].includes(state);
}

shown.again.addEventListener("click", () => (state === "closed" ? followed.again() : followed.connection.wake()));
// Chromium keeps a page that the user left, with its connection. Others would still see that user as present.
addEventListener("pagehide", () => followed?.connection.close());
addEventListener("pageshow", ({ persisted }) => persisted && followed?.again());
enter(state, "");
setInterval(() => followed && show(), TICK_MS);
