/** The playground: listen by any transport, see what is on the wire, cut the connection, and resume it. */

import { API, call } from "./api.js";
import { showState } from "./connection.js";
import { wireCopies } from "./copy.js";
import { element, parts, say } from "./parts.js";
import { language, t } from "./text.js";
import { token } from "./token.js";
import { ACCEPTS, TRANSPORTS, headersOf, streamUrl } from "./transports.js";

const MAX_FRAMES = 500;
const PAINT_MS = 50;
const NEEDS_TICKET = ["eventsource", "websocket"];
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

const frames = document.getElementById("frames");
const template = document.getElementById("frame");
const published = document.getElementById("published");
const door = document.getElementById("door");
const speak = document.getElementById("speak");
const form = door.elements;
const draft = speak.elements;
let cut = null;
let counts = {};
let waiting = [];

function show(state, hint = "") {
  showState(state, hint, Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(" · "));
  form.cut.disabled = !cut;
  form.resume.disabled = Boolean(cut) || !form.position.value;
}

/** Adds a line to the log, with all of the same moment: for each look at its height the browser lays out the page anew. */
function add(line) {
  if (waiting.push(line) === 1) setTimeout(paint, PAINT_MS);
}

/** The oldest lines go when there are too many. */
function paint() {
  const isAtEnd = frames.scrollHeight - frames.scrollTop - frames.clientHeight < 40;
  frames.append(...waiting.splice(0).slice(-MAX_FRAMES));
  while (frames.children.length > MAX_FRAMES) frames.firstElementChild.remove();
  if (isAtEnd) frames.scrollTop = frames.scrollHeight;
  showCommands();
}

const mark = (text) => add(element("li", "mark", `${clock.format(Date.now())} — ${text}`));

function addFrame({ type, id, data, raw }) {
  const line = template.content.firstElementChild.cloneNode(true);
  line.dataset.type = type;
  say(parts(line), { time: clock.format(Date.now()), type, data, id: id ?? "", raw: raw.replaceAll("\n", "\\n\n") });
  add(line);
  counts[type] = (counts[type] ?? 0) + 1;
}

/** The handlers of one connection. Those of an earlier one are deaf once it was cut. */
function handlers(connection) {
  const ifOpen = (act) => (...given) => connection.isCut || act(...given);
  const end = (reason) => {
    cut = null;
    mark(reason);
    show("offline", reason);
  };
  return {
    open: ifOpen(() => show("live")),
    retry: ifOpen(() => show("reconnecting", t("playground.retry"))),
    end: ifOpen(end),
    frame: ifOpen((frame) => {
      addFrame(frame);
      if (frame.id && frame.id !== "end") form.position.value = frame.id;
      if (frame.type === "gap") show("live", t("playground.gap"));
      else if (frame.type !== "closed") show("live", counts.gap ? t("playground.gapped") : "");
    }),
  };
}

/** A page can't send a header with an EventSource or a WebSocket: a ticket takes the place of its token. */
async function connect(position) {
  cutNow();
  const connection = { isCut: false, close: null };
  cut = () => {
    connection.isCut = true;
    connection.close?.();
  };
  show("connecting");
  const on = handlers(connection);
  const [channel, transport] = [form.channel.value, form.transport.value];
  mark(position ? t("playground.resumes", { channel, position }) : t("playground.connects", { channel }));
  try {
    const ticket = token() && NEEDS_TICKET.includes(transport) ? (await call("POST", "tickets")).ticket : "";
    if (!connection.isCut) connection.close = TRANSPORTS[transport]({ channel, position, token: token(), ticket, type: draft.type.value }, on);
  } catch (error) {
    on.end(error.message);
  }
}

function cutNow() {
  if (!cut) return;
  cut();
  cut = null;
  mark(t("playground.cut"));
  show("closed", t("playground.cut.hint"));
}

async function publish() {
  const body = { channel: form.channel.value, type: draft.type.value, data: JSON.parse(draft.data.value) };
  if (draft.key.value) body.idempotency_key = draft.key.value;
  const { positions } = await call("POST", "events", body);
  published.textContent = t("playground.stored", { position: positions[0] });
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const option = ([name, value]) => (name === "Authorization" ? `-H "Authorization: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`);

/** The forms as commands. The token itself is not in them. */
function showCommands() {
  const position = form.position.value;
  const sent = token() && "$TOKEN";
  const listens = (accept) => ["curl -N", quoted(streamUrl("stream", form.channel.value)), ...Object.entries(headersOf(accept, { token: sent, position })).map(option)];
  const socket = quoted(streamUrl("/ws", form.channel.value, { last_event_id: position }).replace(/^http/, "ws"));
  const bySocket = ["websocat", socket, ...(sent ? [option(["Authorization", `Bearer ${sent}`])] : [])];
  const body = `{"channel": ${JSON.stringify(form.channel.value)}, "type": ${JSON.stringify(draft.type.value)}, "data": ${draft.data.value}${draft.key.value && `, "idempotency_key": ${JSON.stringify(draft.key.value)}`}}`;
  const sends = Object.entries({ ...(sent && { Authorization: `Bearer ${sent}` }), "Content-Type": "application/json" }).map(option);
  document.getElementById("listening").textContent = (form.transport.value === "websocket" ? bySocket : listens(ACCEPTS[form.transport.value] ?? ACCEPTS.sse)).join(" ");
  document.getElementById("publishing").textContent = ["curl", quoted(`${API}events`), ...sends, "-d", quoted(body)].join(" ");
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  connect("");
});
form.cut.addEventListener("click", cutNow);
form.resume.addEventListener("click", () => connect(form.position.value));
form.clear.addEventListener("click", () => {
  waiting = [];
  frames.replaceChildren();
  counts = {};
});
speak.addEventListener("submit", (event) => {
  event.preventDefault();
  publish().catch((error) => (published.textContent = error.message));
});
for (const one of [door, speak]) one.addEventListener("input", showCommands);
form.position.addEventListener("input", () => (form.resume.disabled = Boolean(cut) || !form.position.value));
wireCopies();
show("outside", t("playground.start"));
showCommands();
