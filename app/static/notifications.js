/** One user's notifications: what is unread, then what comes. A row leaves every page when one of them has marked it as read. */

import { call, listen } from "./api.js";
import { follow, showState, tell } from "./connection.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { named, t } from "./text.js";
import { token } from "./token.js";

const MAX_ROWS = 200;

const list = document.getElementById("rows");
const shown = parts(document.getElementById("main"));
/** The rows by position. A notice has a row that only this page knows. */
const rows = new Map();
let unread = 0;
/** What was read while more are on their way; null while none are. */
let readMeanwhile = null;

function showCount(count) {
  unread = Math.max(count, 0);
  say(shown, { count: unread ? t("notifications.unread", { count: unread }) : t("notifications.nothing") });
}

async function open() {
  showState("connecting");
  rows.clear();
  list.replaceChildren();
  say(shown, { count: "" });
  try {
    await call("GET", "notifications/unread?limit=1"); // a refused stream has one word, this call a sentence
  } catch (error) {
    if (error.status) return showState("closed", error.message);
  }
  follow(listen("notifications", HANDLERS), open);
}

const HANDLERS = {
  unread({ count, notifications }) {
    rows.clear();
    list.replaceChildren();
    for (const one of notifications.reverse()) add(one.position, one);
    showCount(count);
  },
  notification(data, position) {
    add(position, data);
    showCount(unread + 1);
  },
  "notification-read": ({ position }) => {
    readMeanwhile?.add(position);
    remove(position);
    showCount(unread - 1);
    if (unread && !list.querySelector("li:not([data-notice])")) showMore();
  },
  notice: (data, id) => add(id, data, t("notifications.notice")),
};

/** The page begins with the newest, and drops the oldest of many. When all that it has are read, it gets the next ones. */
async function showMore() {
  if (readMeanwhile) return;
  readMeanwhile = new Set();
  try {
    const { notifications } = await call("GET", "notifications/unread");
    for (const one of notifications.reverse()) if (!rows.has(one.position) && !readMeanwhile.has(one.position)) add(one.position, one);
  } catch (error) {
    tell(error.message);
  } finally {
    readMeanwhile = null;
  }
}

/** The newest row is the first. */
function add(id, { type, message, time: sentMs }, kind = "") {
  remove(id); // it came with a list already
  const row = element("li");
  if (kind) row.dataset.notice = "";
  const button = element("button", "", t(kind ? "notifications.dismiss" : "notifications.read"));
  button.addEventListener("click", () => (kind ? remove(id) : markAsRead(id, button)));
  row.dataset.type = type;
  row.append(element("span", "kind", [kind, named("notifications.type", type)].filter(Boolean).join(" · ")), element("time", "", time(sentMs)), button, element("p", "text", message));
  rows.set(id, row);
  list.prepend(row);
  if (rows.size > MAX_ROWS) remove(rows.keys().next().value);
}

/** The row leaves with the event, which all pages of the user get. */
async function markAsRead(position, button) {
  button.disabled = true;
  try {
    await call("POST", `notifications/${position}/read`);
  } catch (error) {
    button.disabled = false;
    tell(error.message);
  }
}

function remove(id) {
  rows.get(id)?.remove();
  rows.delete(id);
}

document.getElementById("door").addEventListener("submit", open);
if (token()) open();
