import type { Connection, MembersPage } from "./connection.js";

/** The most members that a page shows. */
const MOST = 1_000;

/**
 * Loads the members of a channel now and after each `join` and `leave`, one request at a time, so that the answer that comes last is
 * the newest, and a thousand joins at once cost two requests. Returns the function that ends it.
 */
export function watchMembers(connection: Connection, channel: string, handler: (members: MembersPage["members"]) => void): () => void {
  let isAsking = false;
  let isChanged = false;
  let isOver = false;
  const load = async () => {
    isChanged = true;
    if (isAsking) return;
    isAsking = true;
    while (isChanged && !isOver) {
      isChanged = false;
      const page = await connection.presence(channel, { limit: MOST }).catch(() => undefined); // the next change asks again
      if (page && !isOver) handler(page.members);
    }
    isAsking = false;
  };
  void load();
  const offs = [() => (isOver = true), connection.on("join", load), connection.on("leave", load)];
  return () => offs.forEach((off) => off());
}
