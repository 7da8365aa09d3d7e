/** Wires the page: the hash chooses a wukong, its stream feeds the panels, the list refreshes beside them. */

import { showConnection } from "./connection.js";
import { time } from "./format.js";
import { WukongList } from "./list.js";
import { StatusPanel } from "./status.js";
import { Stream } from "./stream.js";

const WUKONGS = new URL("api/v1/wukongs", document.baseURI).href;
const DEFAULT_NAME = "host";
const REFRESH_MS = 10_000;
const TICK_MS = 1_000;

const main = document.getElementById("status");
const list = new WukongList(document.getElementById("list"));
const status = new StatusPanel(main);
let stream = null;
let notice = "";

/** A hash typed by hand may have an invalid escape. */
function chosenName() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || DEFAULT_NAME;
  } catch {
    return DEFAULT_NAME;
  }
}

function choose(name) {
  const url = `${WUKONGS}/${encodeURIComponent(name)}/stream`;
  stream?.close();
  stream = new Stream(url, receive);
  notice = "";
  status.clear(name);
  list.mark(name);
  document.getElementById("command").textContent = `curl -N "${url}"`;
  stream.open();
  show();
}

const show = () => showConnection(main, stream, notice);

/** The notice stays until the next one, so that a user who looked away still sees that updates were missed. */
function tell(text) {
  notice = `${text} (${time(Date.now())})`;
}

/** Handlers for each type of event. A heartbeat is only counted. */
const HANDLERS = {
  connected: () => stream.events > 1 && tell("Connected again. No updates were missed."),
  gap({ reason }) {
    status.break();
    tell(`Some updates were missed: ${reason}.`);
  },
  status(wukong) {
    status.show(wukong);
    list.update(wukong);
    list.mark(wukong.name); // the name behind the alias `host`
  },
};

function receive(type, data) {
  HANDLERS[type]?.(data);
  show();
}

function refresh() {
  if (!document.hidden) list.load(WUKONGS);
}

function wake() {
  if (!document.hidden) stream.wake();
  refresh();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the chosen wukong
  main.focus();
});
main.querySelector("[data-part=again]").addEventListener("click", () => stream.open());
document.addEventListener("visibilitychange", wake);
window.addEventListener("online", wake);
window.addEventListener("hashchange", () => choose(chosenName()));
setInterval(show, TICK_MS);
setInterval(refresh, REFRESH_MS);
choose(chosenName());
refresh();
