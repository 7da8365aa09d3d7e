/** The playground: listen by any transport, see what is on the wire, cut the connection, and resume it. */

import { API, call } from "./api.js";
import { element, parts, say } from "./parts.js";
import { ACCEPTS, TRANSPORTS, headersOf, streamUrl } from "./transports.js";

const MAX_FRAMES = 500;
const NEEDS_TICKET = ["eventsource", "websocket"];
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

const root = document.getElementById("playground");
const frames = document.getElementById("frames");
const template = document.getElementById("frame");
const published = document.getElementById("published");
const door = document.getElementById("door");
const speak = document.getElementById("speak");
const view = parts(root);
const form = door.elements;
const draft = speak.elements;
let cut = null;
let counts = {};

function show(state, label, hint = "") {
  root.dataset.connection = state;
  say(view, { label, hint });
  form.cut.disabled = !cut;
  form.resume.disabled = Boolean(cut) || !form.position.value;
}

/** Adds a line to the log. The oldest goes when there are too many. */
function add(line) {
  const isAtEnd = frames.scrollHeight - frames.scrollTop - frames.clientHeight < 40;
  frames.append(line);
  if (frames.children.length > MAX_FRAMES) frames.firstElementChild.remove();
  if (isAtEnd) frames.scrollTop = frames.scrollHeight;
}

const mark = (text) => add(element("li", "mark", `${clock.format(Date.now())} — ${text}`));

function addFrame({ type, id, data, raw }) {
  const line = template.content.firstElementChild.cloneNode(true);
  line.dataset.type = type;
  say(parts(line), { time: clock.format(Date.now()), type, data, id: id ?? "", raw: raw.replaceAll("\n", "\\n\n") });
  add(line);
  counts[type] = (counts[type] ?? 0) + 1;
  say(view, { tally: Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(" · ") });
}

/** The handlers of one connection. Those of an earlier one are deaf once it was cut. */
function handlers(connection) {
  const ifOpen = (act) => (...given) => connection.isCut || act(...given);
  const end = (reason) => {
    cut = null;
    mark(reason);
    show("offline", "Ended", reason);
  };
  return {
    open: ifOpen(() => show("live", "Connected")),
    retry: ifOpen(() => show("reconnecting", "Reconnecting", "The EventSource tries again by itself.")),
    end: ifOpen(end),
    frame: ifOpen((frame) => {
      addFrame(frame);
      if (frame.id && frame.id !== "end") form.position.value = frame.id;
      showCommands();
      if (frame.type === "gap") show("stale", "Gap", "History no longer has all events since your position.");
      else if (frame.type !== "closed") show("live", "Connected", counts.gap ? "There was a gap: look at the frames." : "");
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
  show("connecting", "Connecting");
  const on = handlers(connection);
  const [channel, transport, token] = [form.channel.value, form.transport.value, form.token.value];
  mark(position ? `resume ${channel} after ${position}` : `connect to ${channel}`);
  try {
    const ticket = token && NEEDS_TICKET.includes(transport) ? (await call("POST", "tickets", token)).ticket : "";
    if (!connection.isCut) connection.close = TRANSPORTS[transport]({ channel, position, token, ticket, type: draft.type.value }, on);
  } catch (error) {
    on.end(error.message);
  }
}

function cutNow() {
  if (!cut) return;
  cut();
  cut = null;
  mark("cut");
  show("closed", "Cut", "What is published now comes when you resume.");
}

async function publish() {
  const body = { channel: form.channel.value, type: draft.type.value, data: JSON.parse(draft.data.value) };
  if (draft.key.value) body.idempotency_key = draft.key.value;
  const { positions } = await call("POST", "events", form.token.value, body);
  published.textContent = `Stored at ${positions[0]}`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const option = ([name, value]) => (name === "Authorization" ? `-H "Authorization: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`);

/** The forms as commands. The token itself is not in them. */
function showCommands() {
  const position = form.position.value;
  const token = form.token.value && "$TOKEN";
  const listens = (accept) => ["curl -N", quoted(streamUrl("stream", form.channel.value)), ...Object.entries(headersOf(accept, { token, position })).map(option)];
  const socket = quoted(streamUrl("/ws", form.channel.value, { last_event_id: position }).replace(/^http/, "ws"));
  const bySocket = ["websocat", socket, ...(token ? [option(["Authorization", `Bearer ${token}`])] : [])];
  const body = `{"channel": ${JSON.stringify(form.channel.value)}, "type": ${JSON.stringify(draft.type.value)}, "data": ${draft.data.value}${draft.key.value && `, "idempotency_key": ${JSON.stringify(draft.key.value)}`}}`;
  const sends = Object.entries({ ...(token && { Authorization: `Bearer ${token}` }), "Content-Type": "application/json" }).map(option);
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
  frames.replaceChildren();
  counts = {};
  say(view, { tally: "" });
});
speak.addEventListener("submit", (event) => {
  event.preventDefault();
  publish().catch((error) => (published.textContent = error.message));
});
for (const one of [door, speak]) one.addEventListener("input", showCommands);
form.position.addEventListener("input", () => (form.resume.disabled = Boolean(cut) || !form.position.value));
root.addEventListener("click", async ({ target }) => {
  if (!target.dataset.copies) return;
  await navigator.clipboard.writeText(document.getElementById(target.dataset.copies).textContent);
  target.textContent = "Copied";
  setTimeout(() => (target.textContent = "Copy"), 1_500);
});
showCommands();
