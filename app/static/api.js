/** Requests to the service, with the token of the page. */

import { connect } from "../simulcast/simulcast.js";
import { has, t } from "./text.js";
import { credentials } from "./token.js";

export const API = new URL("api/v1/", document.baseURI).href;

const heartbeatMs = Number(document.body.dataset.heartbeatMs);

/** Why a request was refused, in the language of the page. What only a program can do wrong has no text there. */
export const sentenceOf = ({ code, message }) => (has(`shell.refused.${code}`) ? t(`shell.refused.${code}`) : message);

const unreachable = () => Promise.reject(new Error(t("shell.lost.unreachable")));

/** Sends a request; throws an error with a message to show, and, if there was an answer, its status, code and headers. */
export async function send(method, url, body, signal) {
  const isForm = body instanceof FormData;
  const headers = { ...(!isForm && { "Content-Type": "application/json" }), ...credentials() };
  const response = await fetch(url, { method, headers, body: isForm ? body : body && JSON.stringify(body), signal }).catch(unreachable);
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: { message: `${response.status} ${response.statusText}` } })); // of a proxy
  const message = response.status === 401 && error.code !== "no_user" ? t("shell.closed.unauthorized") : sentenceOf(error);
  throw Object.assign(new Error(message), { status: response.status, code: error.code, headers: response.headers });
}

/** Returns the answer's JSON, null if it has none; throws as `send`. */
export async function call(method, path, body, signal) {
  const response = await send(method, API + path, body, signal);
  return response.status === 204 ? null : response.json();
}

/** Listens to a stream of the service: calls the handler of each event's type with its data, its position and its channel. */
export function listen(path, handlers) {
  const connection = connect(API + path, { headers: credentials, heartbeatMs });
  for (const [type, handle] of Object.entries(handlers)) connection.on(type, ({ data, id, channel }) => handle(data, id, channel));
  return connection;
}
