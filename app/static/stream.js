/** One live connection to one SSE route: EventSource, and a retry for the cases in which it gives up or hangs. */

const EVENT_TYPES = ["connected", "status", "metrics", "usage", "heartbeat", "gap", "closed"];
const HEARTBEAT_MS = 15_000;
const STALE_MS = 1.5 * HEARTBEAT_MS;
const SILENCE_MS = 2.5 * HEARTBEAT_MS;
const BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;
const PROBE_MS = 5_000;
/** EventSource retries forever at a fixed interval. After this many failures in a row our backoff takes over. */
const NATIVE_RETRIES = 3;
/** Answers that a retry would get again. */
const FINAL_STATUSES = { 204: "finished", 401: "unauthorized", 403: "forbidden", 404: "unknown", 410: "finished" };

/** With jitter, so that thousands of pages don't reconnect at once after a restart. */
export function backoffMs(failures, random = Math.random()) {
  const ceiling = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** failures);
  return (ceiling * (1 + random)) / 2;
}

/** EventSource hides the status of a refusal. HEAD distinguishes a missing stream from a busy server. */
function statusOf(url) {
  const options = { method: "HEAD", headers: { Accept: "text/event-stream" }, signal: AbortSignal.timeout(PROBE_MS) };
  return fetch(url, options).then((response) => response.status, () => 0);
}

/** States: connecting, live, stale, reconnecting, offline, closed. Holds at most one source and one timer. */
export class Stream {
  state = "connecting";
  reason = "";
  events = 0;
  lastEventMs = 0;
  retryMs = 0;
  #url;
  #notify;
  #source;
  #timer;
  #lastId = "";
  #failures = 0;

  /** Calls `notify(type, data)` for every event, and with `state` and no data when this stream's own state has changed. */
  constructor(url, notify) {
    this.#url = url;
    this.#notify = notify;
  }

  /** Opens or reopens the stream. An earlier source or timer is dropped first. */
  open() {
    this.close();
    this.#source = new EventSource(this.#address());
    for (const type of EVENT_TYPES) this.#source.addEventListener(type, (event) => this.#receive(event));
    this.#source.onerror = () => this.#fail();
    this.#watch();
  }

  /** Closes the stream without calling `notify`: the caller knows. */
  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.retryMs = 0;
  }

  /** Call it when the network or the tab comes back. Timers may have slept, so the clock decides. */
  wake() {
    const silent = Date.now() - this.lastEventMs > SILENCE_MS;
    if (this.state !== "closed" && (this.state !== "live" || silent)) this.open();
  }

  /** A page can't set the Last-Event-ID header of a new EventSource, so the position is in the query. */
  #address() {
    const url = new URL(this.#url);
    if (this.#lastId) url.searchParams.set("last_event_id", this.#lastId);
    return url.href;
  }

  #receive(event) {
    const data = JSON.parse(event.data);
    // `closed` does not count as an event: otherwise a full server would look live between two tries.
    if (event.type === "closed") return data.reconnect ? this.#watch() : this.#finish(data.reason);
    this.#lastId = event.lastEventId || this.#lastId;
    this.#failures = 0;
    this.events += 1;
    this.lastEventMs = Date.now();
    this.#watch();
    this.#enter("live");
    this.#notify(event.type, data);
  }

  /** While the source is CONNECTING, EventSource itself retries; CLOSED means that it gave up. */
  #fail() {
    this.#failures += 1;
    this.#enter(this.#downState());
    if (this.#source.readyState === EventSource.CLOSED) this.#probe();
    else if (this.#failures > NATIVE_RETRIES) this.#reopenLater();
    else this.#watch();
  }

  async #probe() {
    const source = this.#source;
    const reason = FINAL_STATUSES[await statusOf(this.#address())];
    if (source !== this.#source) return; // closed or reopened before the answer came
    if (reason) this.#finish(reason);
    else this.#reopenLater();
  }

  #reopenLater() {
    this.close();
    const delayMs = backoffMs(this.#failures);
    this.#timer = setTimeout(() => this.open(), delayMs);
    this.retryMs = Date.now() + delayMs;
    this.#notify("state");
  }

  #finish(reason) {
    this.close();
    this.reason = reason;
    this.#enter("closed");
  }

  /** A dead network path raises no error; only a timeout detects it. */
  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#doubt(), STALE_MS);
  }

  #doubt() {
    if (this.state === "live") this.#enter("stale");
    this.#timer = setTimeout(() => this.#giveUp(), SILENCE_MS - STALE_MS);
  }

  #giveUp() {
    this.#failures += 1;
    this.open();
    this.#enter(this.#downState());
  }

  #downState() {
    return this.#failures > NATIVE_RETRIES || !navigator.onLine ? "offline" : "reconnecting";
  }

  #enter(state) {
    this.state = state;
    this.#notify("state");
  }
}
