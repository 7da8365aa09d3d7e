/** Hooks for React. Each opens its connection in an effect, with its handlers, so that no event comes before them. */

import { useEffect, useState } from "react";
import { type Connection, type EventTypes, type MembersPage, type Options, type Status, type StreamEvent, connect } from "./index.js";
import { watchMembers } from "./members.js";
import { RUNNING, type RunState, afterEvent } from "./run.js";
import { last } from "./views.js";

const CONNECTING: Status = { state: "connecting", reason: "", retryAt: 0 };

export interface Connected<Types extends EventTypes = EventTypes> {
  /** Missing in the first render. */
  connection?: Connection<Types>;
  status: Status;
}

/** One connection while the component is shown. `setUp` adds handlers. Another URL or other channels make another one. */
export function useConnection<Types extends EventTypes = EventTypes>(
  url: string,
  options: Options = {},
  setUp?: (connection: Connection<Types>) => void,
): Connected<Types> {
  const [connected, set] = useState<Connected<Types>>({ status: CONNECTING });
  useEffect(() => {
    const connection = connect<Types>(url, options);
    set({ connection, status: connection.status });
    setUp?.(connection);
    connection.onState((status) => set({ connection, status }));
    return () => connection.close();
  }, [url, `${options.channels}`]);
  return connected;
}

/** The last `count` events, the newest last. */
export function useChannel<Types extends EventTypes = EventTypes>(url: string, options: Options = {}, count = 100) {
  const [events, setEvents] = useState<StreamEvent[]>([]);
  const connected = useConnection<Types>(url, options, (connection) => {
    setEvents([]);
    last(connection as Connection, count, setEvents);
  });
  return { events, ...connected };
}

/** How far a run is, and its result. */
export function useRun(url: string, options: Options = {}) {
  const [run, setRun] = useState<RunState>(RUNNING);
  const connected = useConnection(url, options, (connection) => {
    setRun(RUNNING);
    connection.onEvent((event) => setRun((before) => afterEvent(before, event)));
  });
  return { ...run, ...connected };
}

/** Who listens on a channel. The connection must listen to `presence:<channel>` too, to hear of each change. */
export function usePresence({ connection, status }: Connected, channel: string): MembersPage["members"] {
  const [members, setMembers] = useState<MembersPage["members"]>([]);
  useEffect(() => {
    if (!connection || status.state !== "live") return;
    return watchMembers(connection as Connection, channel, setMembers);
  }, [connection, status.state, channel]);
  return members;
}
