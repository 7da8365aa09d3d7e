// grpc-js against a server: publish one event and several, listen, be refused. Prints what came, as JSON.
import grpc from "@grpc/grpc-js";
import { createFileRegistry, fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { readFileSync } from "node:fs";

const [, , target, descriptors, authorization, certificate] = process.argv;
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("simulcast.v1.StreamService");
const trust = certificate
  ? grpc.credentials.createSsl(readFileSync(certificate))
  : grpc.credentials.createInsecure();
const client = new grpc.Client(target, trust, { "grpc.ssl_target_name_override": "localhost" });
const metadata = new grpc.Metadata();
metadata.set("authorization", authorization);

function call(name) {
  const { input, output } = service.methods.find((method) => method.name === name);
  const write = (message) => Buffer.from(toBinary(input, create(input, message)));
  return [`/${service.typeName}/${name}`, write, (bytes) => fromBinary(output, bytes)];
}

function publish(json, about = metadata) {
  const event = { channel: "node", data: { case: "json", value: json } };
  return new Promise((resolve) =>
    client.makeUnaryRequest(...call("Publish"), event, about, (error, answer) => resolve([error?.code ?? 0, answer])),
  );
}

function publishStream(...values) {
  return new Promise((resolve, reject) => {
    const sending = client.makeClientStreamRequest(...call("PublishStream"), metadata, (error, answer) =>
      error ? reject(error) : resolve(Number(answer.events)),
    );
    for (const value of values) sending.write({ channel: "node", data: { case: "json", value } });
    sending.end();
  });
}

const listening = client.makeServerStreamRequest(...call("Subscribe"), { channels: ["node"] });
const data = [];
let stored, refused;
listening.on("error", () => {}); // it is told that it was cancelled
for await (const { message } of listening) {
  if (message.case === "connected") {
    [refused] = await publish("0", new grpc.Metadata());
    [stored] = await publish("1");
    stored += await publishStream("2", "3");
  }
  if (message.case === "event") data.push(message.value.data.value);
  if (data.length === 3) break;
}
listening.cancel();
client.close();
console.log(JSON.stringify({ data, stored, refused }));
