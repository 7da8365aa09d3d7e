// Listens to a channel by connect-web, and comes back after a lost connection with the id of its last event.
// ?protocol=grpc-web takes the other protocol, ?format=json the other format.
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import schema from "./schema.binpb";

const query = new URLSearchParams(location.search);
const createTransport = query.get("protocol") === "grpc-web" ? createGrpcWebTransport : createConnectTransport;
const transport = createTransport({ baseUrl: location.origin, useBinaryFormat: query.get("format") !== "json" });
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, schema));
const client = createClient(registry.getService("simulcast.v1.StreamService"), transport);

const state = document.getElementById("state");
const form = document.querySelector("form");

function show(text) {
  const item = document.createElement("li");
  item.textContent = text;
  document.getElementById("events").append(item);
}

async function listen() {
  let lastEventId = "";
  for (;;) {
    try {
      for await (const { message } of client.subscribe({ channels: ["orders"], lastEventId })) {
        if (message.case === "connected") state.textContent = "connected";
        if (message.case === "event") show(JSON.parse(message.value.data.value).order);
        if (message.case === "gap") show("… some orders are missing …");
        lastEventId = message.value.id || lastEventId;
      }
    } catch (error) {
      state.textContent = `away: ${error.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 500 + 1000 * Math.random()));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const json = JSON.stringify({ order: form.order.value });
  try {
    await client.publish({ channel: "orders", data: { case: "json", value: json } });
    form.reset();
  } catch (error) {
    state.textContent = error.message;
  }
});
listen();
