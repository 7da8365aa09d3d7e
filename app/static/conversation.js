/** One conversation, as the service tells it to each device of its user: an EventSource, and what to do when it gives up. */

import { API, call } from "./api.js";
import { backoffMs } from "./stream.js";

const EVENT_TYPES = ["conversation", "prompt", "begun", "pieces", "ended", "deleted", "gap", "closed"];
/** Answers that a retry would get again. */
const FINAL_STATUSES = [401, 403, 404];
const NEW_MS = 300;

/** States: connecting, live, reconnecting, closed. Holds at most one source and one timer. */
export class Conversation {
  #id;
  #token;
  #handle;
  #onState;
  #source = null;
  #timer;
  #lastId = "";
  #failures = 0;
  /** Whether it might not be there yet, because its first prompt is on its way. */
  isNew;

  /** Calls `handle(type, data)` for each event, and `onState(state, hint)`. */
  constructor(id, token, isNew, handle, onState) {
    this.isNew = isNew;
    this.#id = id;
    this.#token = token;
    this.#handle = handle;
    this.#onState = onState;
  }

  /** Opens or reopens the stream, from the beginning or after the last event. */
  async open(isAnew = false) {
    this.close();
    if (isAnew) this.#lastId = "";
    const query = new URLSearchParams(this.#lastId ? { last_event_id: this.#lastId } : {});
    const opening = (this.#source = { close() {} }); // until there is one
    this.#onState(this.#failures ? "reconnecting" : "connecting", "");
    try {
      // An EventSource can't send a header, so a token is changed for a ticket.
      if (this.#token) query.set("ticket", (await call("POST", "tickets", this.#token)).ticket);
    } catch (error) {
      return opening === this.#source && this.#fail(error);
    }
    if (opening === this.#source) this.#listen(`${API}conversations/${this.#id}/stream?${query}`);
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #listen(url) {
    const source = (this.#source = new EventSource(url));
    for (const type of EVENT_TYPES) source.addEventListener(type, (event) => this.#receive(type, event));
    source.onopen = () => this.#onState("live", "");
    source.onerror = () => (source.readyState === EventSource.CLOSED ? this.#ask(source) : this.#onState("reconnecting", ""));
  }

  #receive(type, { data, lastEventId }) {
    const told = JSON.parse(data);
    if (type === "gap") return this.open(true);
    if (type === "closed") return told.reconnect || this.#ask(this.#source);
    this.#failures = 0;
    this.#lastId = lastEventId || this.#lastId;
    this.#handle(type, told);
  }

  /** An EventSource does not tell why it was refused. */
  async #ask(source) {
    source.close();
    const error = await call("GET", `conversations/${this.#id}`, this.#token).then(() => null, (error) => error);
    if (source === this.#source) this.#fail(error);
  }

  #fail(error) {
    if (FINAL_STATUSES.includes(error?.status) && !this.isNew) return this.#onState("closed", error.message);
    this.#failures += 1;
    this.#onState("reconnecting", "");
    this.#timer = setTimeout(() => this.open(), this.isNew ? NEW_MS : backoffMs(this.#failures));
  }
}
