"""Parsing in a page: what an event of 300 bytes costs the page's own thread, if it parses it, and if a worker hands it on.

Run it by ``python -m benchmarks.parsing``. It needs Chromium, and the modules of ``clients/js`` (``npm run build``).
"""

from __future__ import annotations

import functools
import http.server
import tempfile
import threading
from pathlib import Path

from tests.tools.chromium import open_chromium

_MOST_SECONDS = 60
_MODULES = Path(__file__).parents[1] / "clients/js/dist"
_MEASURE = """import("/parse.js").then(async ({ Parser }) => {
  const COUNT = 5_000, ROUNDS = 5, WORKER_MS = 500;
  const data = JSON.stringify({ text: "x".repeat(220), number: 7 });
  const frame = new TextEncoder().encode(`id: 1763690000845-0-03d56a77\\nevent: created\\ndata: ${data}\\n\\n`);
  const parse = () => {
    const [parser, begin] = [new Parser(), performance.now()];
    for (let n = 0; n < COUNT; n++) for (const block of parser.feed(frame)) JSON.parse(block.data);
    return performance.now() - begin;
  };
  const source = `onmessage = ({ data: [event, count] }) => { for (let n = 0; n < count; n++) postMessage(event); postMessage(0); }`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  // The worker sends while this thread is busy, so all is there when the clock begins.
  const take = () => new Promise((resolve) => {
    let begin = 0;
    worker.onmessage = ({ data }) => {
      begin ||= performance.now();
      if (!data) resolve(performance.now() - begin);
    };
    worker.postMessage([event, COUNT]);
    for (const until = performance.now() + WORKER_MS; performance.now() < until;);
  });
  const event = { type: "created", id: "1763690000845-0-03d56a77", channel: "orders", data: JSON.parse(data) };
  const median = async (act) => {
    const times = [];
    for (let round = 0; round < ROUNDS; round++) times.push((1000 * (await act())) / COUNT);
    return times.sort((a, b) => a - b)[ROUNDS >> 1];
  };
  return { bytes: frame.length, parsed: await median(parse), taken: await median(take) };
})"""


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves the modules, and an empty page."""

    def do_GET(self) -> None:
        if self.path.endswith(".js"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html>")

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


def main() -> None:
    """Measure, and print a line for each way."""
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(_MODULES))) as server,
        tempfile.TemporaryDirectory() as folder,
        open_chromium(Path(folder)) as chromium,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = chromium.open(f"http://127.0.0.1:{server.server_address[1]}/")
        page.evaluate(f"void {_MEASURE}.then((measured) => (window.measured = measured))")
        measured = page.wait_for("window.measured", _MOST_SECONDS)
        server.shutdown()
    print(f"an event of {measured['bytes']} bytes, of the page's own thread:")
    print(f"  parsed by the page        {measured['parsed']:5.1f} µs")
    print(f"  taken from a worker       {measured['taken']:5.1f} µs")


if __name__ == "__main__":
    main()
