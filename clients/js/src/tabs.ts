/** One connection for all tabs of a page: the tab that has the lock listens, and hands on to the others what it hears. */

import type { End } from "./ends.js";
import { type StreamEvent, isAtOrBefore } from "./event.js";
import type { Transport, Try } from "./transports/transport.js";

/** Events that the leader remembers, for a tab that comes later with a position. */
const REMEMBERED = 1_000;

/** What tabs say to each other. */
interface Message {
  /** A new leader listens. */
  isLeader?: true;
  /** A tab wants to follow, from its position on. */
  follower?: string;
  position?: string;
  /** An event for all followers, or for one. */
  event?: StreamEvent;
  to?: string;
}

/** Without TLS, except on localhost, browsers have no locks. Then each tab has a connection of its own. */
export function tabs(transport: Transport): Transport {
  if (!navigator.locks) return transport;
  return async (attempt) => {
    const { name } = attempt;
    const gone = new AbortController(); // a page that a browser keeps for "back" must not keep the lock
    const signal = AbortSignal.any([attempt.signal, gone.signal]);
    addEventListener("pagehide", () => gone.abort(), { signal });
    const channel = new BroadcastChannel(`simulcast ${name}`);
    try {
      follow(attempt, channel);
      return await navigator.locks.request(`simulcast ${name}`, { signal }, () => lead(transport, { ...attempt, signal }, channel));
    } finally {
      channel.close();
    }
  };
}

/** Waits for a leader, says hello, and takes what comes after its answer. */
function follow(attempt: Try, channel: BroadcastChannel): void {
  const follower = Array.from(crypto.getRandomValues(new Uint32Array(2))).join("-");
  let isFollowing = false;
  const say = (message: Message) => channel.postMessage(message);
  const hello = () => say({ follower, position: attempt.position });
  channel.onmessage = ({ data }: { data: Message }) => {
    if (data.isLeader) {
      isFollowing = false; // what it says before its answer might come after a hole
      hello();
    }
    isFollowing ||= data.to === follower;
    if (!data.event || (data.to ? data.to !== follower : !isFollowing)) return;
    attempt.onAlive();
    attempt.onEvent(data.event);
  };
  hello();
}

/** Listens, from where this tab is. Ends with the connection; then the lock goes to the next tab. */
function lead(transport: Transport, attempt: Try, channel: BroadcastChannel): Promise<End> {
  const memory = new Memory();
  const say = (message: Message) => channel.postMessage(message);
  channel.onmessage = ({ data: { follower, position = "" } }: { data: Message }) => {
    if (!follower || !memory.greeting) return;
    for (const event of memory.since(position)) say({ event, to: follower });
  };
  return transport({
    ...attempt,
    onEvent(event) {
      const { type, data } = event as StreamEvent<any>;
      memory.keep(event);
      if (type === "connected") say({ isLeader: true });
      else if (type === "closed" ? !data.reconnect : type !== "gap" || memory.greeting) say({ event });
      // A server that stops is left to the next leader. A gap before the greeting is told to each follower after its hello.
      attempt.onEvent(event);
    },
  });
}

/** What the leader has heard. */
class Memory {
  greeting: StreamEvent<{ channels?: string[] }> | undefined;
  /** Events and gaps, in their order. */
  #events: StreamEvent<any>[] = [];
  /** Position before the first event that is remembered, and after the last. */
  #start = "";
  #head = "";

  keep(event: StreamEvent): void {
    if (event.type === "connected") this.greeting = event as StreamEvent<{}>;
    else if (event.type === "gap" || (event.id && event.type !== "heartbeat")) this.#events.push(event);
    if (event.id) {
      this.#start ||= event.id;
      this.#head = event.id;
    }
    if (this.#events.length <= REMEMBERED) return;
    const { id, data } = this.#events.shift()!;
    this.#start = id ?? data.to;
  }

  /** All that a follower misses: a greeting, and then the events after its position, or a gap if some are forgotten. */
  since(position: string): StreamEvent[] {
    const greeting = { ...this.greeting!, id: position || this.#head };
    if (!position) return [greeting];
    const place = this.#events.map(({ id }) => id).lastIndexOf(position);
    const missed = this.#events.filter((event, n) => (place < 0 ? isNew(event, position) : n > place));
    if (place >= 0 || isAtOrBefore(this.#start, position)) return [greeting, ...missed];
    const data = { reason: "trimmed", channels: this.greeting!.data.channels, from: position, to: this.#start };
    return [{ type: "gap", id: undefined, channel: undefined, data }, greeting, ...missed];
  }
}

/** Whether a follower at this position misses an event, or must hear of a gap. */
function isNew({ id, data }: StreamEvent<any>, position: string): boolean {
  return !isAtOrBefore(id ?? (data.reason === "trimmed" ? data.to : ""), position);
}
