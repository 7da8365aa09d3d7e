import React, { StrictMode, createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { useChannel, usePresence, useRun } from "/simulcast/react.js";

function Room() {
  const room = useChannel("/api/v1/stream", { channels: ["room", "presence:room"] }, 50);
  const members = usePresence(room, "room");
  const said = room.events.filter(({ channel }) => channel === "room").map(({ data }) => data);
  return h("p", { id: "room" }, JSON.stringify({ state: room.status.state, said, members: members.length }));
}

function Run() {
  const { state, progress, result } = useRun("/count");
  return h("p", { id: "run" }, JSON.stringify({ state, progress, result }));
}

createRoot(document.getElementById("root")).render(h(StrictMode, null, h(Room), h(Run)));
