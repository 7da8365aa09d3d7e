/** The service knows a key for 300 s. A try that begins within this time has ended by then. */
export const KEY_MS = 240_000;

/** A new idempotency key. `crypto.randomUUID` is missing on pages without TLS. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}
