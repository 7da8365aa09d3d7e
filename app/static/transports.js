/**
 * One connection by each transport, with nothing between it and the page: no retry, no buffer.
 *
 * A transport takes the request `{channel, position, token, ticket}` and calls `on.open()`, `on.frame({type, id, data, raw})`
 * and `on.end(reason)`. It returns a function that cuts the connection.
 */

import { API } from "./api.js";
import { t } from "./text.js";

const EVENTS = ["connected", "heartbeat", "gap", "closed", "join", "leave"];
const UNSEEN = t("playground.unseen");

/** The URL of a stream. `inQuery` has what a client can't send as a header. */
export function streamUrl(path, channel, inQuery = {}) {
  const url = new URL(path, API);
  url.searchParams.set("channel", channel);
  for (const [name, value] of Object.entries(inQuery)) if (value) url.searchParams.set(name, value);
  return url.href;
}

/** What to send with a request for a stream; the token is left out if there is none. */
export function headersOf(accept, { token, position }) {
  const headers = { Accept: accept };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (position) headers["Last-Event-ID"] = position;
  return headers;
}

/** Reads one SSE frame, without the empty line that ends it. */
export function sseFrame(raw) {
  const fields = { event: "", id: "", data: [] };
  for (const line of raw.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "data") fields.data.push(value);
    else if (name) fields[name] = value;
  }
  const type = fields.event || (fields.data.length ? "message" : "keepalive");
  return { type, id: fields.id, data: fields.data.join("\n"), raw: `${raw}\n\n` };
}

function ndjsonFrame(raw) {
  if (!raw) return { type: "keepalive", id: "", data: "", raw: "\n" };
  const { type, id, data } = JSON.parse(raw);
  return { type, id, data: JSON.stringify(data), raw: `${raw}\n` };
}

function websocketFrame(raw) {
  const { type, event, id, position, data, ...rest } = JSON.parse(raw);
  return { type: type === "event" ? event : type, id: id ?? position, data: JSON.stringify(data ?? rest), raw };
}

/** Calls `take` with each text that `end` ends, as it comes. */
async function readFrames(body, end, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const texts = (rest + piece.value).split(end);
    rest = texts.pop();
    texts.forEach(take);
  }
}

const byFetch = (accept, end, frameOf) => (request, on) => {
  const cut = new AbortController();
  const read = async () => {
    const response = await fetch(streamUrl("stream", request.channel), { headers: headersOf(accept, request), signal: cut.signal });
    if (!response.ok) return on.end(`${response.status}: ${(await response.json()).error.message}`);
    on.open();
    await readFrames(response.body, end, (raw) => cut.signal.aborted || on.frame(frameOf(raw)));
    on.end(t("playground.ended"));
  };
  read().catch((error) => cut.signal.aborted || on.end(t("playground.lost", { message: error.message })));
  return () => cut.abort();
};

/** An EventSource shows only the types that it was asked for, so the page names those that it expects. */
function byEventSource({ channel, position, ticket, type }, on) {
  const source = new EventSource(streamUrl("stream", channel, { last_event_id: position, ticket }));
  source.onopen = () => on.open();
  for (const name of new Set([...EVENTS, "message", type])) {
    source.addEventListener(name, ({ lastEventId, data }) => on.frame({ type: name, id: name === "gap" ? "" : lastEventId, data, raw: UNSEEN }));
  }
  source.onerror = () => (source.readyState === EventSource.CLOSED ? on.end(t("playground.stopped")) : on.retry());
  return () => source.close();
}

function byWebSocket({ channel, position, ticket }, on) {
  const socket = new WebSocket(streamUrl("/ws", channel, { last_event_id: position, ticket }).replace(/^http/, "ws"));
  socket.onopen = () => on.open();
  socket.onmessage = ({ data }) => on.frame(websocketFrame(data));
  socket.onclose = ({ code, reason }) => on.end(t("playground.closecode", { code: String(code), reason }));
  return () => {
    socket.onmessage = socket.onclose = null;
    socket.close();
  };
}

export const ACCEPTS = { sse: "text/event-stream", ndjson: "application/x-ndjson" };
export const TRANSPORTS = {
  sse: byFetch(ACCEPTS.sse, "\n\n", sseFrame),
  ndjson: byFetch(ACCEPTS.ndjson, "\n", ndjsonFrame),
  eventsource: byEventSource,
  websocket: byWebSocket,
};
