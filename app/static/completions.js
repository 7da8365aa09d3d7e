/** Wires the page: the hash names the conversation, its stream fills the page, a form asks. A reload goes on where it was. */

import { call, listen, send } from "./api.js";
import { follow, retitle, showState } from "./connection.js";
import { time } from "./format.js";
import { element, parts, say } from "./parts.js";
import { t } from "./text.js";
import { onToken, token } from "./token.js";
import { Turns } from "./turns.js";

const OPENAI = new URL("v1/", document.baseURI).href;
/** Of a browser without a user: ids and titles. Users have theirs in the service. */
const KNOWN = "simulcast-conversations";
const MOST_KNOWN = 100;
/** The header that names the answer. */
const ANSWER = "X-Completion-Id";
const ID = /^[A-Za-z0-9._-]{1,64}$/;
/** A prompt may wait for its first token. The stream is opened meanwhile. */
const OPEN_AFTER_MS = 300;
/** Before its first prompt has arrived, a conversation is not there: it is asked for again after this time. */
const NEW_MS = 300;

const list = document.getElementById("conversations");
const [door, speech] = [document.getElementById("door"), document.getElementById("speak")];
const { text: field, stop } = speech.elements;
const shown = parts(document);
const turns = new Turns(document.getElementById("turns"), document.getElementById("said"), (prompt) => ask(prompt));
/** The connection to the conversation that is shown, or null. */
let stream = null;
let id = "";
/** Whether the service might not have the conversation yet, because its first prompt is on its way. */
let isNew = false;

const tell = (error) => say(shown, { problem: error.message });

function showTitle(title) {
  say(shown, { title: title || t("completions.new") });
  retitle(`${title || t("shell.page.completions")} · Simulcast`);
}

/** Opens a conversation; an empty id is a new one. */
function choose(chosen) {
  leave();
  id = chosen;
  turns.dropDraft();
  turns.replace([]);
  showTitle("");
  showOpen();
  markChosen();
  if (id) open();
}

/** Listens to the conversation from its beginning. One that is new might not be there yet: no state to show. */
function open() {
  const mine = (stream = listen(`conversations/${id}/stream`, HANDLERS));
  if (isNew) showState("connecting");
  else follow(mine, open);
  mine.onEvent(showOpen);
  mine.onState(({ state }) => {
    if (mine !== stream) return;
    if (isNew && state === "live") begin(mine);
    if (state !== "closed") return;
    if (isNew) setTimeout(() => mine === stream && open(), NEW_MS);
    else stream = null; // it is opened again after the next prompt
  });
}

function begin(opened) {
  isNew = false;
  follow(opened, open);
}

function leave() {
  stream?.close();
  stream = null;
  isNew = false;
  showState("outside");
}

const HANDLERS = {
  conversation(data) {
    turns.replace(data.turns);
    showTitle(data.title);
    remember(data);
  },
  prompt(data) {
    if (!data.messages) return open(); // they are larger than an event
    turns.add({ ...data, status: "waiting" });
    loadList();
  },
  begun: (data) => turns.begin(data.id),
  pieces: ({ id, first, texts }) => turns.grow(id, first, texts) || open(),
  ended: ({ id, status, error }) => turns.end(id, status, error),
  deleted() {
    forget(id);
    loadList();
    location.hash = "";
    tell({ message: t("completions.deleted") });
  },
};

function showOpen() {
  stop.hidden = turns.open.length === 0;
  shown.remove.hidden = !stream;
}

function openNew() {
  isNew = true;
  open();
}

/** Sends a prompt, and leaves: the stream of the conversation shows the answer. */
async function ask(prompt) {
  const model = door.elements.model.value;
  if (!id) {
    id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    history.replaceState(null, "", `#${id}`);
  }
  const here = id;
  const opening = !stream && setTimeout(() => here === id && openNew(), OPEN_AFTER_MS);
  turns.draft(prompt, model);
  say(shown, { problem: "" });
  try {
    const messages = [{ role: "user", content: prompt }];
    const asked = { model, stream: true, cancel_on_disconnect: false, conversation: here, messages };
    const response = await send("POST", `${OPENAI}chat/completions`, asked);
    response.body.cancel();
    accept(here, response.headers.get(ANSWER));
  } catch (error) {
    if (error.headers?.has(ANSWER)) return accept(here, error.headers.get(ANSWER)); // its stream says why it failed
    if (here === id) refuse(prompt, error);
  } finally {
    clearTimeout(opening);
  }
}

/** The service has the prompt. */
function accept(here, answer) {
  if (here !== id) return; // the user has gone to another conversation
  turns.accept(answer);
  isNew = false;
  if (!stream) open();
}

function refuse(prompt, error) {
  if (isNew) leave();
  turns.dropDraft();
  field.value ||= prompt;
  tell(error);
}

/** A conversation of a user is in the service, one without a user only in this browser. */
function known() {
  try {
    return JSON.parse(localStorage.getItem(KNOWN)) ?? [];
  } catch {
    return [];
  }
}
const keep = (all) => localStorage.setItem(KNOWN, JSON.stringify(all.slice(0, MOST_KNOWN)));
const forget = (gone) => keep(known().filter((one) => one.id !== gone));

async function remember({ id, title, spoken }) {
  if (await loadList()) return;
  keep([{ id, title, spoken }, ...known().filter((one) => one.id !== id)]);
  showList(known());
}

/** Returns whether the service has the list, because there is a user. */
async function loadList() {
  const listed = token() && (await call("GET", "conversations").catch(() => null));
  showList(listed ? listed.conversations : known());
  return Boolean(listed);
}

function showList(conversations) {
  list.replaceChildren(...conversations.map(rowOf));
  say(shown, { note: conversations.length ? "" : t("completions.none") });
  markChosen();
}

function rowOf({ id, title, spoken }) {
  const [row, link] = [element("li"), element("a")];
  Object.assign(link, { href: `#${id}`, title });
  link.append(element("span", "", title || t("completions.untitled")), element("span", "", time(spoken * 1000)));
  row.append(link);
  return row;
}

function markChosen() {
  for (const { firstChild: link } of list.children) link.ariaCurrent = link.hash === `#${id}` ? "true" : null;
}

async function loadModels() {
  const select = door.elements.model;
  const { data } = await (await send("GET", `${OPENAI}models`)).json();
  select.replaceChildren(...data.map((model) => new Option(model.id)));
  select.disabled = data.length < 2;
}

function start() {
  say(shown, { problem: "" });
  loadModels().catch(tell);
  loadList();
  choose(chosenId());
}

function chosenId() {
  const chosen = location.hash.slice(1);
  return ID.test(chosen) ? chosen : "";
}

speech.addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = field.value;
  if (!prompt.trim()) return;
  field.value = "";
  ask(prompt);
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  speech.requestSubmit();
});
stop.addEventListener("click", () => {
  for (const answer of turns.open) send("DELETE", `${OPENAI}chat/completions/${answer}`).catch(tell);
  field.focus();
});
shown.remove.addEventListener("click", () => {
  if (confirm(t("completions.delete"))) call("DELETE", `conversations/${id}`).catch(tell);
});
door.elements.fresh.addEventListener("click", () => {
  location.hash = "";
  field.focus();
});
onToken(start);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the conversation
  field.focus();
});
addEventListener("hashchange", () => chosenId() === id || choose(chosenId()));
start();
