/** What a stream sends, whatever the transport. */

/** One event. The types `connected`, `gap`, `heartbeat` and `closed` are the stream's own. */
export interface StreamEvent<Data = unknown, Type extends string = string> {
  type: Type;
  /** What was published. Text that is not JSON stays text. */
  data: Data;
  /** Its position, or the id of another server's event; missing if it has none. */
  id: string | undefined;
  channel: string | undefined;
}

export interface Gap {
  reason: string;
  channels: string[];
  from: string;
  to: string;
}

/** The data of `closed`. */
export interface Goodbye {
  reason: string;
  reconnect: boolean;
}

const POSITION = /^(\d+)-(\d+)-[0-9a-f]{8}$/;

/** On a stream of several channels an id is `<position>/<channel>`. */
export function splitId(id: string): [id: string, channel: string | undefined] {
  const [position, ...channel] = id.split("/");
  return channel.length && POSITION.test(position!) ? [position!, decodeURIComponent(channel.join("/"))] : [id, undefined];
}

/** Whether `id` is not after `floor` in the log. Texts that are no positions have no order. */
export function isAtOrBefore(id: string, floor: string): boolean {
  const [, ms, counter] = POSITION.exec(id) ?? [];
  const [, floorMs, floorCounter] = POSITION.exec(floor) ?? [];
  if (!ms || !floorMs) return false;
  return ms === floorMs ? Number(counter) <= Number(floorCounter) : Number(ms) < Number(floorMs);
}

export function dataOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // published as it is, for example HTML
  }
}
