import { type StreamEvent, isAtOrBefore } from "./event.js";

/** Where a client is in a stream: what it has, and so what is new to it. */
export class Place {
  /** Events up to here are duplicates. Not always the position: it is unknown before a snapshot, and after a gap. */
  #floor = "";
  #channels: string[] = [];

  /** @param position - Up to where the client has all events; empty at the start. */
  constructor(public position = "") {}

  /** Takes the next event of the stream, and names its channel on a stream of one. Returns false for a duplicate. */
  take(event: StreamEvent): boolean {
    const { type, id } = event;
    const isOld = isAtOrBefore(id ?? "", this.#floor);
    if (type === "gap" || (type === "connected" && !id)) this.#floor = "";
    else if (isOld && type !== "connected" && type !== "heartbeat") return false;
    if (type === "connected") this.#channels = (event as StreamEvent<{ channels?: string[] }>).data.channels ?? [];
    if (id !== undefined && !isOld) this.position = this.#floor = id;
    if (id && this.#channels.length === 1) event.channel ??= this.#channels[0];
    return true;
  }
}
