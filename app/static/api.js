/** Requests to the service, with the token of the page. */

import { connect } from "../simulcast/simulcast.js";
import { has, t } from "./text.js";
import { credentials } from "./token.js";

export const API = new URL("api/v1/", document.baseURI).href;

const heartbeatMs = Number(document.body.dataset.heartbeatMs);

/** Why a request was refused, in the words of a page that has a field for the token. */
const messageOf = (status, { code, message }) => (has(`shell.refused.${code}`) ? t(`shell.refused.${code}`) : status === 401 ? t("shell.closed.unauthorized") : message);

/** Sends a request; throws an error with a message to show, the status, the code and the headers. */
export async function send(method, url, body, signal) {
  const isForm = body instanceof FormData;
  const headers = { ...(!isForm && { "Content-Type": "application/json" }), ...credentials() };
  const response = await fetch(url, { method, headers, body: isForm ? body : body && JSON.stringify(body), signal });
  if (response.ok) return response;
  const { error } = await response.json();
  throw Object.assign(new Error(messageOf(response.status, error)), { status: response.status, code: error.code, headers: response.headers });
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
