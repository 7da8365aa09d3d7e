/** The hub over one WebSocket: events, and commands with their replies. Source: docs/websocket-hub.md. */

import { AskError, type Command } from "../asking.js";
import { LOST } from "../ends.js";
import type { Transport } from "./transport.js";

interface Waiting {
  resolve(result: any): void;
  reject(error: AskError): void;
}

/** Codes after which the same client would be refused again. */
const isFinal = (code: number) => (code >= 4500 && code < 5000) || [1002, 1003, 1007, 1008, 1009].includes(code);
const UNANSWERED = new AskError("unanswered", "The connection ended before the reply.", 0);
/** Errors that pass: of a worker, its log, or a rate. */
const PASSING = /^broker|^publish_uncertain|^draining|_rate$/;

export const webSocket: Transport = async (attempt) => {
  const { url } = await attempt.request();
  url.protocol = url.protocol.replace("http", "ws");
  if (attempt.position) url.searchParams.set("last_event_id", attempt.position);
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    const waiting = new Map<number, Waiting>();
    let count = 0;

    const ask = (command: Command | { type: "ping" }) =>
      new Promise<any>((resolve, reject) => {
        if (socket.readyState !== WebSocket.OPEN) return reject(UNANSWERED);
        waiting.set(++count, { resolve, reject });
        socket.send(JSON.stringify({ ...command, id: count }));
      });
    // A page can't see WebSocket pings, so it asks. The reply has the position of the connection.
    const ping = () =>
      ask({ type: "ping" }).then(
        ({ time, subscriptions }) =>
          attempt.onEvent({ type: "heartbeat", data: { time }, id: subscriptions[0].position, channel: undefined }),
        () => {},
      );
    const timer = setInterval(ping, attempt.heartbeatMs);
    const end = (code: number) => {
      clearInterval(timer);
      socket.onclose = socket.onerror = socket.onmessage = null;
      socket.close();
      for (const { reject } of waiting.values()) reject(UNANSWERED);
      resolve(isFinal(code) ? { reason: `websocket_${code}`, reconnect: false } : LOST);
    };

    socket.onerror = () => end(1006); // Node 20 sends no close after a handshake that broke off
    socket.onclose = ({ code }) => end(code);
    attempt.signal.addEventListener("abort", () => end(0));
    socket.onmessage = ({ data }) => {
      attempt.onAlive();
      const { type, id, event, channel, ...message } = JSON.parse(data);
      if (type === "event") attempt.onEvent({ type: event, id, channel, data: message.data });
      else if (type === "gap") attempt.onEvent({ type, id: undefined, channel: undefined, data: message });
      else if (type === "connected") {
        attempt.onAsk(ask);
        const connected = { listener: message.connection, channels: message.channels };
        attempt.onEvent({ type, id: message.position, channel: undefined, data: connected });
      } else if (type === "closing") {
        if (message.retry_ms) attempt.onRetry(message.retry_ms);
        attempt.onEvent({ type: "closed", id: undefined, channel: undefined, data: message });
      } else if (type === "reply") waiting.get(id)?.resolve(message.result);
      else waiting.get(id)?.reject(refused(message));
      waiting.delete(id);
    };
  });
};

function refused({ code, message, retry_after_seconds = 0 }: any): AskError {
  return new AskError(code, message, PASSING.test(code) ? 503 : 400, retry_after_seconds * 1000);
}
