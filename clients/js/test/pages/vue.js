import { computed, createApp, h } from "vue";
import { useChannel, usePresence, useRun } from "/simulcast/vue.js";

const Room = {
  setup() {
    const room = useChannel("/api/v1/stream", { channels: ["room", "presence:room"] }, 50);
    const members = usePresence(room, "room");
    const said = computed(() => room.events.value.filter(({ channel }) => channel === "room").map(({ data }) => data));
    return () =>
      h("p", { id: "room" }, JSON.stringify({ state: room.status.value.state, said: said.value, members: members.value.length }));
  },
};

const Run = {
  setup() {
    const { run } = useRun("/count");
    return () => h("p", { id: "run" }, JSON.stringify(run.value));
  },
};

createApp({ render: () => [h(Room), h(Run)] }).mount("#root");
