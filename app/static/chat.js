/** A room in a browser: one form joins, a stream fills the room, another form sends. Everything from others is set as text. */

import { call, listen } from "./api.js";
import { follow, showState, tell } from "./connection.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { t } from "./text.js";

const MAX_ROWS = 500;
const TYPING_MS = 2_000;
/** A person whose last typing hint is older than this has stopped typing. */
const TYPED_MS = 4_000;
const talk = document.getElementById("talk");
const people = document.getElementById("people");
const door = document.getElementById("door");
const speech = document.getElementById("speak");
const shown = parts(document);
const present = new Map();
const typers = new Map();
let here = null; // {room, user}
let typedAt = 0;

const path = (method) => `chat/${encodeURIComponent(here.room)}/${method}`;
/** The typed name. Without one, the service takes the name from the token. */
const me = () => (here.user ? { user: here.user } : {});

async function enter() {
  showState("connecting");
  empty();
  say(shown, { title: here.room });
  try {
    await call("GET", path("users?limit=1")); // a refused stream has one word, this call a sentence
  } catch (error) {
    if (error.status) return showState("closed", error.message);
  }
  const connection = listen(`${path("stream")}?${new URLSearchParams(me())}`, HANDLERS);
  connection.onState(({ state }) => allowSpeech(state === "live"));
  follow(connection, enter);
}

function allowSpeech(isLive) {
  for (const field of speech.elements) field.disabled = !isLive;
}

function empty() {
  allowSpeech(false);
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
    addRow("event", data, t("chat.joined", data));
    showPeople();
  },
  "user-leave"(data) {
    present.delete(keyOf(data));
    typers.delete(keyOf(data));
    addRow("event", data, t("chat.left", data));
    showPeople();
  },
  gap: () => addRow("event", { time: Date.now() }, t("chat.missing")),
};

/** An unverified Ann is another person than a verified Ann. */
const keyOf = ({ user, verified }) => `${verified} ${user}`;

function nameOf(className, { verified }, text) {
  const name = element("span", className, text);
  if (verified === false) name.dataset.unverified = t("chat.unverified");
  return name;
}

function addMessage(data) {
  const row = addRow("who", { ...data, time: data.timestamp }, data.user);
  row.append(element("p", "text", data.message));
}

function addRow(className, data, text) {
  const follows = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
  const row = element("li", "", "");
  row.dataset.verified = data.verified;
  row.append(nameOf(className, data, text), element("time", "", time(data.time)));
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
      row.append(nameOf("who", one, one.user));
      return row;
    }),
  );
  say(shown, { count: present.size ? t("chat.here", { count: present.size }) : "" });
}

function showTyping() {
  const now = Date.now();
  for (const [key, one] of typers) if (one.until < now) typers.delete(key);
  const names = [...typers.values()].map((one) => one.user);
  say(shown, { types: names.length > 3 ? t("chat.many", { count: names.length }) : names.length ? t("chat.types", { count: names.length, names: names.join(", ") }) : "" });
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  here = Object.fromEntries(["room", "user"].map((name) => [name, door.elements[name].value]));
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
    await call("POST", path("message"), { ...me(), message: text });
    tell("");
  } catch (error) {
    field.value ||= text;
    tell(error.message);
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
  call("POST", path("typing"), me()).catch(() => {}); // only a hint: the message itself reports an error
});

showState("outside", t("chat.start"));
setInterval(showTyping, 1_000);
if (location.hash.length > 1) door.elements.room.value = location.hash.slice(1);
