/** Wires the page of wukongs: the hash chooses one, its stream feeds the panel, the list refreshes beside it. */

import { API, listen } from "./api.js";
import { follow } from "./connection.js";
import { wireCopies } from "./copy.js";
import { WukongList } from "./list.js";
import { StatusPanel } from "./status.js";
import { onToken } from "./token.js";

const DEFAULT_NAME = "host";
const REFRESH_MS = 10_000;

const main = document.getElementById("main");
const list = new WukongList(document.getElementById("list"));
const panel = new StatusPanel(main);

/** A hash typed by hand may have an invalid escape. */
function chosenName() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || DEFAULT_NAME;
  } catch {
    return DEFAULT_NAME;
  }
}

function open() {
  const path = `wukongs/${encodeURIComponent(chosenName())}/stream`;
  panel.clear(chosenName());
  list.mark(chosenName());
  document.getElementById("command").textContent = `curl -N "${API}${path}"`;
  follow(listen(path, { status: show }), open);
}

function show(wukong) {
  panel.show(wukong);
  list.update(wukong);
  list.mark(wukong.name); // the name behind the alias `host`
}

function refresh() {
  if (!document.hidden) list.load();
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the chosen wukong
  main.focus();
});
document.addEventListener("visibilitychange", refresh);
addEventListener("hashchange", open);
onToken(() => {
  open();
  refresh();
});
setInterval(refresh, REFRESH_MS);
wireCopies();
open();
refresh();
