// connect-web against a server, by each of its transports: publish, listen, fail. Prints what came, as JSON.
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { readFileSync } from "node:fs";

const [, , baseUrl, descriptors, authorization] = process.argv;
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("simulcast.v1.StreamService");
const headers = { authorization };

async function attempt(transport, channel) {
  const client = createClient(service, transport);
  const abort = new AbortController();
  const kinds = [], data = [];
  for await (const { message } of client.subscribe({ channels: [channel] }, { signal: abort.signal })) {
    kinds.push(message.case);
    if (message.case === "event") data.push(message.value.data.value);
    if (data.length === 3) break;
    await client.publish({ channel, data: { case: "json", value: JSON.stringify(data.length) } }, { headers });
  }
  abort.abort();
  let code = 0;
  try {
    await client.publish({ channel, data: { case: "json", value: "1" } });
  } catch (error) {
    code = error.code;
  }
  let late = "";
  try {
    for await (const _ of client.subscribe({ channels: [channel] }, { timeoutMs: 200 }));
  } catch (error) {
    late = error.code;
  }
  return { kinds, data, code, late };
}

const found = {};
for (const useBinaryFormat of [true, false]) {
  for (const make of [createConnectTransport, createGrpcWebTransport]) {
    const name = `${make === createConnectTransport ? "connect" : "grpc-web"}-${useBinaryFormat ? "proto" : "json"}`;
    found[name] = await attempt(make({ baseUrl, useBinaryFormat }), `node-${name}`);
  }
}
console.log(JSON.stringify(found));
