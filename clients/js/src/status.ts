export type State = "connecting" | "live" | "stale" | "reconnecting" | "offline" | "closed";

/** The state of a connection, and why. Each change makes a new object. */
export interface Status {
  readonly state: State;
  /** Why the last connection ended: `lost`, `silent`, `unreachable`, or the server's reason. Empty while all is well. */
  readonly reason: string;
  /** When the next try begins, as `Date.now()` counts; 0 if none is planned. */
  readonly retryAt: number;
}

/** After this number of failed tries it is more than a hiccup. */
const TRIES = 3;

export function stateBetweenTries(failures: number): State {
  return globalThis.navigator?.onLine === false || failures > TRIES ? "offline" : "reconnecting";
}
