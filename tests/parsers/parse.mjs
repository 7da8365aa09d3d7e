// One line in, one line out: base64 of an event stream in pieces, to the events that eventsource-parser sees.
import { createInterface } from "node:readline";
import { createParser } from "eventsource-parser";

for await (const line of createInterface({ input: process.stdin })) {
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push([event.event ?? "message", event.data, event.id ?? ""]) });
  const decoder = new TextDecoder();
  for (const piece of JSON.parse(line)) {
    parser.feed(decoder.decode(Buffer.from(piece, "base64"), { stream: true }));
  }
  console.log(JSON.stringify(events));
}
