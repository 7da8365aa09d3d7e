/** Requests to the service, from pages whose user gives a token. */

export const API = new URL("api/v1/", document.baseURI).href;

/** Sends a request; throws an error with the service's message, the status and the headers. The token can be empty. */
export async function send(method, url, token, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  throw Object.assign(new Error((await response.json()).error.message), { status: response.status, headers: response.headers });
}

/** Returns the answer's JSON, null if it has none; throws as `send`. */
export async function call(method, path, token, body) {
  const response = await send(method, API + path, token, body);
  return response.status === 204 ? null : response.json();
}
