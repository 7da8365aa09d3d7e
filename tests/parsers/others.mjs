// One client of another author, as its own page shows it: node others.mjs LIBRARY URL. Prints the data of each event.
import { createRequire } from "node:module";
import { EventSource } from "eventsource";

const require = createRequire(import.meta.url);
const [library, url] = process.argv.slice(2);

const open = {
  eventsource: () => new EventSource(url),
  "reconnecting-eventsource": () => {
    globalThis.EventSource = EventSource;
    const { default: ReconnectingEventSource } = require("reconnecting-eventsource");
    return new ReconnectingEventSource(url, { max_retry_time: 100 });
  },
  "event-source-polyfill": () => {
    const { EventSourcePolyfill } = require("event-source-polyfill");
    return new EventSourcePolyfill(url);
  },
  "@microsoft/fetch-event-source": () => {
    globalThis.window = globalThis; // it is for pages
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
    const { fetchEventSource } = require("@microsoft/fetch-event-source");
    const again = () => {
      throw new Error("the server has ended the stream"); // else the library would not come back
    };
    const source = { addEventListener: (type, handler) => (source[type] = handler) };
    void fetchEventSource(url, { onmessage: ({ event, data }) => source[event || "message"]?.({ data }), onclose: again, onerror: () => 100 });
    return source;
  },
};
const source = open[library]();
for (const type of ["connected", "message", "gap"]) {
  source.addEventListener(type, ({ data }) => console.log(type, type === "message" ? data : ""));
}
