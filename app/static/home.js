/** Wires the first page: this machine with its last minutes, its wukongs, and commands to copy. */

import { call, listen } from "./api.js";
import { follow } from "./connection.js";
import { wireCopies } from "./copy.js";
import { WukongList } from "./list.js";
import { statusOf } from "./samples.js";
import { StatusPanel } from "./status.js";
import { onToken } from "./token.js";

const REFRESH_MS = 10_000;

const panel = new StatusPanel(document.getElementById("machine"));
const list = new WukongList(document.getElementById("list"));
/** The name of this machine: others of a fleet send samples, too. */
let here = "";

const show = (sample) => {
  here ||= sample.host;
  if (sample.host === here) panel.show(statusOf(sample));
};

/** Shows this machine's last minutes: at the start, and after a gap. */
async function showPast() {
  panel.clear(here || "…");
  try {
    const { host, samples } = await call("GET", "dashboard/past");
    here = host;
    samples.forEach(show);
  } catch (error) {
    console.warn(`The last minutes are not shown: ${error.message}`); // the stream tells why
  }
}

async function open() {
  here = "";
  await showPast();
  follow(listen("dashboard/stream", { metrics: show, gap: showPast }), open, { looksItself: true });
}

function refresh() {
  if (!document.hidden) list.load();
}

document.addEventListener("visibilitychange", refresh);
onToken(() => {
  open();
  refresh();
});
wireCopies();
setInterval(refresh, REFRESH_MS);
open();
refresh();
