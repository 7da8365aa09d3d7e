/** One user's notifications: what is unread, then what comes. A row leaves every page when one of them has marked it as read. */

import { API, call } from "./api.js";
import { number, time } from "./format.js";
import { element, parts, say } from "./parts.js";

const MAX_ROWS = 200;
const LABELS = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting", closed: "Closed" };

const main = document.getElementById("inbox");
const list = document.getElementById("rows");
const door = document.getElementById("door");
const shown = parts(main);
/** The rows by position. A notice has a row that only this page knows. */
const rows = new Map();
let source = null;
let token = "";
let unread = 0;

function show(state, hint = "") {
  main.dataset.connection = state;
  say(shown, { label: LABELS[state], hint });
}

function showCount(count) {
  unread = Math.max(count, 0);
  say(shown, { count: unread ? `${number(unread)} unread` : "Nothing unread" });
}

async function listen() {
  source?.close();
  show("connecting");
  try {
    const { ticket } = await call("POST", "tickets", token);
    await call("GET", "notifications/unread?limit=1", token); // an EventSource is told only one word of a refusal
    source = new EventSource(`${API}notifications?${new URLSearchParams({ ticket })}`);
  } catch (error) {
    return show("closed", error.message);
  }
  for (const [type, handle] of Object.entries(HANDLERS)) {
    source.addEventListener(type, (event) => handle(JSON.parse(event.data), event.lastEventId));
  }
  source.onopen = () => show("live");
  source.onerror = () => (source.readyState === EventSource.CLOSED ? show("closed", "The service refused the connection.") : show("reconnecting"));
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
    remove(position);
    showCount(unread - 1);
  },
  notice: (data, id) => add(id, data, "Notice to everyone"),
  closed(data) {
    if (data.reconnect) return;
    source.close();
    show("closed", `The service ended this connection for good: ${data.reason}.`);
  },
};

/** The newest row is the first. */
function add(id, { type, message, time: sentMs }, kind = "") {
  const row = element("li");
  const button = element("button", "", kind ? "Dismiss" : "Mark as read");
  button.addEventListener("click", () => (kind ? remove(id) : markAsRead(id, button)));
  row.dataset.type = type;
  row.append(element("span", "kind", kind ? `${kind} · ${type}` : type), element("time", "", time(sentMs)), button, element("p", "text", message));
  rows.set(id, row);
  list.prepend(row);
  if (rows.size > MAX_ROWS) remove(rows.keys().next().value);
}

/** The row leaves with the event, which all pages of the user get. */
async function markAsRead(position, button) {
  button.disabled = true;
  try {
    await call("POST", `notifications/${position}/read`, token);
  } catch (error) {
    button.disabled = false;
    show(main.dataset.connection, error.message);
  }
}

function remove(id) {
  rows.get(id)?.remove();
  rows.delete(id);
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  token = door.elements.token.value;
  listen();
});
