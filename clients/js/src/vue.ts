/** Composables for Vue. Each connection ends with the component, or scope, that made it. */

import { onScopeDispose, shallowRef, watchEffect } from "vue";
import { type Connection, type EventTypes, type MembersPage, type Options, type StreamEvent, connect } from "./index.js";
import { watchMembers } from "./members.js";
import { RUNNING, type RunState, afterEvent } from "./run.js";
import { last } from "./views.js";

/** One connection, and its status. */
export function useConnection<Types extends EventTypes = EventTypes>(url: string, options: Options = {}) {
  const connection = connect<Types>(url, options);
  const status = shallowRef(connection.status);
  connection.onState((now) => (status.value = now));
  onScopeDispose(() => connection.close());
  return { connection, status };
}

/** The last `count` events, the newest last. */
export function useChannel<Types extends EventTypes = EventTypes>(url: string, options: Options = {}, count = 100) {
  const connected = useConnection<Types>(url, options);
  const events = shallowRef<StreamEvent[]>([]);
  last(connected.connection as Connection, count, (now) => (events.value = now));
  return { events, ...connected };
}

/** How far a run is, and its result. */
export function useRun(url: string, options: Options = {}) {
  const connected = useConnection(url, options);
  const run = shallowRef<RunState>(RUNNING);
  connected.connection.onEvent((event) => (run.value = afterEvent(run.value, event)));
  return { run, ...connected };
}

/** Who listens on a channel. The connection must listen to `presence:<channel>` too, to hear of each change. */
export function usePresence({ connection, status }: ReturnType<typeof useConnection>, channel: string) {
  const members = shallowRef<MembersPage["members"]>([]);
  watchEffect((onCleanup) => {
    if (status.value.state === "live") onCleanup(watchMembers(connection as Connection, channel, (now) => (members.value = now)));
  });
  return members;
}
