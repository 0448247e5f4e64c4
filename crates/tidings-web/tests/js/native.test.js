// Streams over the browser's own `EventSource`, of which there is none in Node: this one shows what that would show.

import assert from "node:assert/strict";
import test from "node:test";

import { follow } from "../../web/tidings.js";
import { pass, passExactly, passUntil, until } from "./support/clock.js";
import { Reader } from "./support/reader.js";
import { Server, event, problem, wholeJob } from "./support/server.js";

/** A browser's `EventSource`, as far as it goes without a network: the test says what happens. */
class EventSource extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  static last = null;
  readyState = EventSource.CONNECTING;

  constructor(url) {
    super();
    this.url = new URL(url);
    EventSource.last = this;
  }

  open() {
    this.readyState = EventSource.OPEN;
    this.onopen(new Event("open"));
  }

  tell(told) {
    this.onmessage(new MessageEvent("message", { data: JSON.stringify(told), lastEventId: told.cursor }));
  }

  fail(readyState) {
    this.readyState = readyState;
    this.onerror(new Event("error"));
  }

  close() {
    this.readyState = EventSource.CLOSED;
  }
}
globalThis.EventSource = EventSource;

async function opened(t, options = {}) {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "started"));
  EventSource.last = null;
  const reader = new Reader(follow(server.job, { eventSource: "native", ...options }));
  t.after(() => reader.end());
  await until(() => EventSource.last !== null);
  return { server, reader, source: EventSource.last };
}

test("events are taken from it, and a gap", async (t) => {
  const { server, reader, source } = await opened(t, { after: "2-0" });
  assert.equal(String(source.url), `${server.job}/sse?as=message&after=2-0`);
  source.open();
  const gap = { requested: 3, resumed_at: 5, job: { id: "j" } };
  source.dispatchEvent(new MessageEvent("gap", { data: JSON.stringify(gap), lastEventId: "4-0" }));
  source.tell(event(5));
  source.tell(event(6, "succeeded"));
  await reader.finished;
  assert.deepEqual([reader.transports, reader.gaps, reader.seqs], [["sse"], [gap], [5, 6]]);
  assert.equal(source.readyState, EventSource.CLOSED);
});

test("its own reconnecting is left to it", async (t) => {
  const { reader, source } = await opened(t);
  source.open();
  source.tell(event(1));
  await until(() => reader.seqs.length === 1);
  source.fail(EventSource.CONNECTING);
  await pass(3000);
  source.open();
  source.tell(event(2));
  source.tell(event(3, "succeeded"));
  await reader.finished;
  assert.deepEqual([reader.transports, reader.seqs], [["sse"], [1, 2, 3]]);
  assert.equal(EventSource.last, source);
});

test("one that does not come back is replaced by another one, which goes on from the cursor", async (t) => {
  const { reader, source } = await opened(t);
  source.open();
  source.tell(event(1));
  await until(() => reader.seqs.length === 1);
  source.fail(EventSource.CONNECTING);
  await passUntil(() => EventSource.last !== source);
  assert.equal(source.readyState, EventSource.CLOSED);
  assert.equal(EventSource.last.url.searchParams.get("after"), "1-0");
  EventSource.last.open();
  EventSource.last.tell(event(2, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2]);
});

test("one that does not open within five seconds is dead", async (t) => {
  const { server, reader } = await opened(t);
  await passExactly(5000, () => server.asked("long-poll").length > 0);
  await until(() => reader.seqs.length === 2);
  assert.deepEqual(reader.transports, ["long-poll"]);
});

test("one that is open and holds back what there is is dead", async (t) => {
  const { reader, source } = await opened(t);
  source.open();
  await passUntil(() => reader.seqs.length === 2);
  assert.deepEqual(reader.transports, ["sse", "long-poll"]);
  assert.equal(source.readyState, EventSource.CLOSED);
});

test("one that is better than what is in use replaces it once it tells what that tells", async (t) => {
  const { server, reader, source } = await opened(t);
  await passUntil(() => reader.transports.at(-1) === "long-poll");
  await passUntil(() => EventSource.last !== source);
  const held = EventSource.last;
  held.open();
  for (let second = 0; second < 20; second += 1) await pass(1000);
  assert.equal(held.readyState, EventSource.OPEN, "there was nothing to tell");
  server.append(event(3));
  await until(() => reader.seqs.length === 3);
  await passUntil(() => held.readyState === EventSource.CLOSED);
  assert.deepEqual(reader.transports, ["long-poll"]);

  await passUntil(() => EventSource.last !== held);
  EventSource.last.open();
  server.append(event(4));
  EventSource.last.tell(event(4));
  await until(() => reader.transports.at(-1) === "sse");
  EventSource.last.tell(event(5, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4, 5]);
});

test("one on which nothing happens since nothing has happened is left alone", async (t) => {
  const { server, reader, source } = await opened(t);
  source.open();
  source.tell(event(1));
  source.tell(event(2));
  await until(() => reader.seqs.length === 2);
  await pass(5000);
  for (let minute = 0; minute < 5; minute += 1) await pass(60_000);
  assert.ok(server.asked("short-poll").length > 3, "it is asked about now and then");
  source.tell(event(3, "succeeded"));
  await reader.finished;
  assert.deepEqual([reader.transports, reader.seqs], [["sse"], [1, 2, 3]]);
});

test("where it gives up, a request finds out why: the job is over", async (t) => {
  const { server, reader, source } = await opened(t, { after: "9-0" });
  server.log = wholeJob(9);
  source.fail(EventSource.CLOSED);
  await reader.finished;
  assert.deepEqual([reader.seqs, reader.error], [[], null]);
});

test("where it gives up, a request finds out why: the cursor is of another history", async (t) => {
  const { server, reader, source } = await opened(t, { after: "9-0" });
  server.instead["short-poll"] = (_, response) => problem(response, 410, "cursor-mismatch");
  source.fail(EventSource.CLOSED);
  await reader.finished;
  assert.equal(reader.error.problem, "cursor-mismatch");
});

test("it is closed with the iteration, also while it waits", async (t) => {
  const { reader, source } = await opened(t);
  source.open();
  await until(() => reader.transports.length === 1);
  await reader.end();
  await reader.finished;
  assert.equal(source.readyState, EventSource.CLOSED);
});
