// Who is there: the answer that a page shows is the newest, in whatever order answers come.
import assert from "node:assert/strict";
import test from "node:test";
import { connect } from "../dist/index.js";
import { watchMembers } from "../dist/members.js";
import { EVENTS, served, settled, until } from "./served.js";

test("changes that come while members are asked for cost one more request, whose answer is the last", async (t) => {
  const asked = [];
  let stream;
  const { url, requests } = await served(t, (response, request) => {
    if (request.url !== "/") return asked.push(response);
    stream = response.writeHead(200, EVENTS);
    stream.write('id: 1-0-0011aabb\nevent: connected\ndata: {"channels":["room"]}\n\n');
  });
  const answer = (names) => asked.shift().end(JSON.stringify({ members: names.map((member) => ({ member })) }));
  const connection = connect(url);
  t.after(() => connection.close());
  const shown = [];
  await until(() => stream);
  const end = watchMembers(connection, "room", (members) => shown.push(members.map(({ member }) => member)));
  await until(() => asked.length === 1);
  for (const n of [2, 3, 4]) stream.write(`id: ${n}-0-0011aabb\nevent: join\ndata: {}\n\n`);
  assert.equal(await settled(() => asked.length), 1);
  answer(["ann"]);
  await until(() => asked.length === 1 && shown.length === 1);
  assert.match(requests.at(-1).url, /limit=1000$/);
  answer(["ann", "bob"]);
  await until(() => shown.length === 2);
  assert.deepEqual(shown, [["ann"], ["ann", "bob"]]);
  stream.write("id: 5-0-0011aabb\nevent: leave\ndata: {}\n\n");
  await until(() => asked.length === 1);
  end();
  answer([]);
  stream.write("id: 6-0-0011aabb\nevent: leave\ndata: {}\n\n");
  assert.equal(await settled(() => asked.length), 0);
  assert.equal(shown.length, 2);
});
