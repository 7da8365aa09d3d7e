import assert from "node:assert/strict";
import test from "node:test";
import { Parser } from "../dist/parse.js";

const encoder = new TextEncoder();
const CASES = {
  "all fields": ["id: 7\nevent: created\ndata: {}\n\n", [["created", "{}", "7"]]],
  "no type is message": ["data: a\n\n", [["message", "a", undefined]]],
  "several lines of data": ["data: a\ndata:b\ndata:\ndata:  c\n\n", [["message", "a\nb\n\n c", undefined]]],
  "a comment and an unknown field": [": keepalive\n:\nfoo: bar\ndata: a\n\n", [["message", "a", undefined]]],
  "fields without a colon": ["data\n\nevent\ndata: a\n\n", [["message", "", undefined], ["message", "a", undefined]]],
  "an id holds for its own block": ["id: 1\ndata: a\n\ndata: b\n\n", [["message", "a", "1"], ["message", "b", undefined]]],
  "the id of a block without data": ["id: 1\n\ndata: b\n\n", [["message", "b", "1"]]],
  "the type of a block without data": ["event: a\n\ndata: b\n\n", [["message", "b", undefined]]],
  "an empty id": ["id:\ndata: a\n\n", [["message", "a", ""]]],
  "NUL in an id": ["id: 1\0\ndata: a\n\n", [["message", "a", undefined]]],
  "a byte order mark": ["\uFEFFdata: a\n\n", [["message", "a", undefined]]],
  "line ends of Unicode stay": ["data: a\u2028b\u0085c\n\n", [["message", "a\u2028b\u0085c", undefined]]],
  "an unfinished block": ["data: a\n\ndata: b\n", [["message", "a", undefined]]],
  "characters of two, three and four bytes": ["event: é\ndata: 流 🦊\n\n", [["é", "流 🦊", undefined]]],
};

function read(pieces) {
  const parser = new Parser();
  return pieces.flatMap((piece) => parser.feed(piece)).map(({ type, data, id }) => [type, data, id]);
}

for (const [name, [text, expected]] of Object.entries(CASES)) {
  test(`${name}: the same for LF, CR and CRLF, and for any cut`, () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const bytes = encoder.encode(text.replaceAll("\n", end));
      assert.deepEqual(read([bytes]), expected);
      assert.deepEqual(read([...bytes].map((_, n) => bytes.subarray(n, n + 1))), expected);
      for (let cut = 0; cut <= bytes.length; cut++) {
        assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), expected);
      }
    }
  });
}

test("retry is kept if it is a number", () => {
  const parser = new Parser();
  parser.feed(encoder.encode("retry: 2000\nretry: 1e3\nretry: -1\nretry:\n"));
  assert.equal(parser.retryMs, 2000);
});
