// The parser against the cases that the Rust client's parser passes too: whole, cut at every byte, and byte by byte.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { EventStreamParser } from "../../web/tidings/event-stream.js";
import { Lost } from "../../web/tidings/failures.js";

const CASES = new URL("../../../tidings-client/tests/cases/sse.json", import.meta.url);
const cases = JSON.parse(await readFile(CASES, "utf8"));

function bytesOf({ input, input_hex }) {
  return input_hex === undefined ? new TextEncoder().encode(input) : Uint8Array.from(Buffer.from(input_hex, "hex"));
}

function check(expected, pieces, how) {
  const parser = new EventStreamParser();
  const events = pieces.flatMap((piece) => parser.push(piece));
  const came = { events, retry: parser.retry, last_id: parser.lastEventId };
  const { events: wanted, retry, last_id } = expected;
  assert.deepEqual(came, { events: wanted, retry, last_id }, `${expected.name}, ${how}`);
}

test("there are as many cases as there should be", () => assert.equal(cases.length, 43));

for (const expected of cases) {
  const bytes = bytesOf(expected);

  test(expected.name, () => {
    check(expected, [bytes], "whole");
    check(expected, Array.from(bytes, (byte) => Uint8Array.of(byte)), "byte by byte");
    for (let at = 0; at <= bytes.length; at += 1) {
      check(expected, [bytes.slice(0, at), bytes.slice(at)], `cut at ${at}`);
    }
  });
}

test("a character of several bytes may be cut anywhere", () => {
  const bytes = new TextEncoder().encode('id: 1\ndata: "žluťoučký 🐎 鳥"\n\n');
  for (let at = 0; at <= bytes.length; at += 1) {
    const parser = new EventStreamParser();
    const messages = [...parser.push(bytes.slice(0, at)), ...parser.push(bytes.slice(at))];
    assert.deepEqual(messages, [{ type: "message", data: '"žluťoučký 🐎 鳥"', id: "1" }]);
  }
});

test("a stream without line ends does not fill the memory", () => {
  const parser = new EventStreamParser();
  const megabyte = new Uint8Array(1024 * 1024).fill(97);
  assert.throws(() => {
    for (let count = 0; count < 16; count += 1) parser.push(megabyte);
  }, Lost);
});
