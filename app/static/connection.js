/** The state of the connection in words: a badge that screen readers announce, and a tally that they do not. */

import { duration, number } from "./format.js";
import { parts, say } from "./parts.js";

const CLOSED = {
  unknown: "No wukong has this name. Choose one from the list.",
  unauthorized: "You are not logged in. Log in, and try again.",
  forbidden: "You are not allowed to see this. Ask for a token that allows it.",
};
const LABELS = { connecting: "Connecting", live: "Live", stale: "Stale", reconnecting: "Reconnecting", offline: "Offline", closed: "Closed" };

function hint({ state, reason, retryMs }, notice) {
  const next = retryMs ? `Next try in ${duration(Math.ceil((retryMs - Date.now()) / 1000))}.` : "Trying now.";
  return {
    connecting: "Waiting for the first status.",
    live: notice,
    stale: "The connection is open, but no data arrives. The page reconnects if this lasts.",
    reconnecting: `The connection is lost. ${next}`,
    offline: `${navigator.onLine ? "The server can’t be reached." : "This device has no network."} ${next}`,
    closed: CLOSED[reason] ?? `The server ended this stream for good: ${reason}.`,
  }[state];
}

/** Cheap enough to run every second. `notice` is the latest message about a live stream. */
export function showConnection(root, stream, notice) {
  const elements = parts(root);
  const age = duration((Date.now() - stream.lastEventMs) / 1000);
  const tally = stream.events ? `${number(stream.events)} events · last ${age} ago` : "No events yet";
  root.dataset.connection = stream.state;
  say(elements, { label: LABELS[stream.state], tally, hint: hint(stream, notice) });
  document.title = stream.state === "live" ? "Simulcast" : `${LABELS[stream.state]} · Simulcast`;
  elements.again.hidden = !["reconnecting", "offline", "closed"].includes(stream.state);
}
