/** Requests to the service, from pages whose user gives a token. */

export const API = new URL("api/v1/", document.baseURI).href;

/** Returns the answer's JSON, null if it has none; throws an error with the service's message. The token can be empty. */
export async function call(method, path, token, body) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(API + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}
