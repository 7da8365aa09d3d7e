// Reads AsyncAPI documents, one a line. Writes what the reference parser finds wrong with each: an array.

import { Parser } from "@asyncapi/parser";
import { createInterface } from "node:readline";

const parser = new Parser();
for await (const line of createInterface({ input: process.stdin })) {
  const { diagnostics } = await parser.parse(line);
  const wrong = diagnostics.filter(({ severity }) => severity <= 1);
  process.stdout.write(JSON.stringify(wrong.map(({ code, path, message }) => `${code} ${path.join(".")}: ${message}`)) + "\n");
}
