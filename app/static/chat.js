/** A room in a browser: one form joins, a stream fills the room, another form sends. Everything from others is set as text. */

import { API, call } from "./api.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";

const MAX_ROWS = 500;
const TYPING_MS = 2_000;
/** A person whose last typing hint is older than this has stopped typing. */
const TYPED_MS = 4_000;
const REFUSALS = {
  unauthorized: "You can’t join this room without a valid token; yours may have expired. Join with a new token.",
  forbidden: "You can’t join this room: your token is not for this room, or not for this name.",
};
const LABELS = { outside: "Not joined", connecting: "Joining", live: "Live", reconnecting: "Reconnecting", closed: "Closed" };

const main = document.getElementById("room");
const talk = document.getElementById("talk");
const people = document.getElementById("people");
const door = document.getElementById("door");
const speech = document.getElementById("speak");
const shown = parts(document);
const present = new Map();
const typers = new Map();
let source = null;
let here = null; // {room, user, token}
let typedAt = 0;

function show(state, hint = "") {
  main.dataset.connection = state;
  say(shown, { label: LABELS[state], hint });
  for (const field of speech.elements) field.disabled = state !== "live";
}

/** Sends a request as the person who joined. */
const request = (method, path, body) => call(method, path, here.token, body);

const path = (method) => `chat/${encodeURIComponent(here.room)}/${method}`;
/** The typed name. Without one, the service takes the name from the token. */
const me = () => (here.user ? { user: here.user } : {});

async function enter() {
  leave();
  show("connecting");
  document.getElementById("title").textContent = here.room;
  const query = new URLSearchParams(me());
  try {
    // An EventSource can't send a header, and gives only one word as the reason of a refusal. This call gets a full message.
    if (here.token) query.set("ticket", (await request("POST", "tickets")).ticket);
    await request("GET", path("users?limit=1"));
  } catch (error) {
    return show("closed", error.message);
  }
  source = new EventSource(`${API}${path("stream")}?${query}`);
  for (const [type, handle] of Object.entries(HANDLERS)) source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
  source.onopen = () => show("live");
  source.onerror = () => (source.readyState === EventSource.CLOSED ? show("closed", "The room refused the connection. Check the name: it must be one line.") : show("reconnecting"));
}

function leave() {
  source?.close();
  source = null;
  present.clear();
  typers.clear();
  talk.replaceChildren();
  showPeople();
}

const HANDLERS = {
  history(data) {
    talk.replaceChildren();
    present.clear();
    for (const one of data.members) present.set(keyOf(one), one);
    for (const message of data.messages) addMessage(message);
    showPeople();
  },
  message(data) {
    typers.delete(keyOf(data));
    addMessage(data);
    showTyping();
  },
  typing(data) {
    typers.set(keyOf(data), { ...data, until: Date.now() + TYPED_MS });
    showTyping();
  },
  "user-join"(data) {
    present.set(keyOf(data), data);
    addRow("event", data, `${data.user} joined`);
    showPeople();
  },
  "user-leave"(data) {
    present.delete(keyOf(data));
    typers.delete(keyOf(data));
    addRow("event", data, `${data.user} left`);
    showPeople();
  },
  gap: () => addRow("event", { time: Date.now() }, "Some messages are missing here"),
  closed(data) {
    if (data.reconnect) return;
    source.close();
    show("closed", REFUSALS[data.reason] ?? `The service ended this connection for good: ${data.reason}.`);
  },
};

/** An unverified Ann is another person than a verified Ann. */
const keyOf = ({ user, verified }) => `${verified} ${user}`;

function addMessage(data) {
  const row = addRow("who", { ...data, time: data.timestamp }, data.user);
  row.append(element("p", "text", data.message));
}

function addRow(className, data, text) {
  const follows = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
  const row = element("li", "", "");
  row.dataset.verified = data.verified;
  row.append(element("span", className, text), element("time", "", time(data.time)));
  talk.append(row);
  while (talk.children.length > MAX_ROWS) talk.firstChild.remove();
  if (follows) requestAnimationFrame(() => (talk.scrollTop = talk.scrollHeight));
  return row;
}

function showPeople() {
  people.replaceChildren(
    ...[...present.values()].map((one) => {
      const row = element("li", "", "");
      row.dataset.verified = one.verified;
      row.append(element("span", "who", one.user));
      return row;
    }),
  );
  say(shown, { count: present.size ? `${present.size} here` : "" });
}

function showTyping() {
  const now = Date.now();
  for (const [key, one] of typers) if (one.until < now) typers.delete(key);
  const names = [...typers.values()].map((one) => one.user);
  say(shown, { types: names.length > 3 ? `${names.length} people type…` : names.length ? `${names.join(", ")} type${names.length > 1 ? "" : "s"}…` : "" });
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  here = Object.fromEntries(["room", "user", "token"].map((name) => [name, door.elements[name].value]));
  location.hash = here.room;
  enter();
});

speech.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = speech.elements.text;
  const text = field.value;
  if (!text.trim()) return;
  field.value = "";
  try {
    await request("POST", path("message"), { ...me(), message: text });
    show("live");
  } catch (error) {
    field.value ||= text;
    show(main.dataset.connection, error.message);
  }
  field.focus();
});

speech.elements.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  speech.requestSubmit();
});

speech.elements.text.addEventListener("input", () => {
  if (Date.now() - typedAt < TYPING_MS) return;
  typedAt = Date.now();
  request("POST", path("typing"), me()).catch(() => {}); // only a hint: the message itself reports an error
});

// Chromium keeps a page that the user left, with its connection. Others would still see that user in the room.
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && source && enter());

setInterval(showTyping, 1_000);
if (location.hash.length > 1) door.elements.room.value = location.hash.slice(1);
