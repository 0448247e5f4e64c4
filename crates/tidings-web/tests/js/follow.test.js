// How following ends, what it hands on, and what it counts.

import assert from "node:assert/strict";
import test from "node:test";

import { follow, followAll } from "../../web/tidings.js";
import { pass, passExactly, passUntil, settled, until } from "./support/clock.js";
import { Reader } from "./support/reader.js";
import { Server, block, event, json, problem, wholeJob } from "./support/server.js";

const TRANSPORTS = ["sse", "long-poll", "short-poll"];

async function running(t) {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "started"));
  return server;
}

for (const [status, name] of [
  [401, "unauthorized"],
  [404, "unknown-job"],
  [410, "cursor-mismatch"],
  [400, "invalid-cursor"],
]) {
  test(`${name} is the caller's at once, over every transport`, async (t) => {
    const server = await running(t);
    for (const transport of TRANSPORTS) {
      server.instead[transport] = (_, response) => problem(response, status, name);
      const reader = new Reader(follow(server.job, { transports: [transport], after: "7-aaaaaaaa" }));
      await reader.finished;
      const { error } = reader;
      assert.deepEqual([error.name, error.status, error.problem], ["ProblemError", status, name]);
      assert.equal(server.asked(transport).length, 1);
    }
  });
}

test("an error in the middle of a job is the caller's too", async (t) => {
  const server = await running(t);
  server.instead.sse = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write(block(event(1)));
    server.instead.sse = (_, response) => problem(response, 410, "cursor-mismatch");
    setImmediate(() => response.end());
  };
  const reader = new Reader(follow(server.job));
  await passUntil(() => reader.over);
  assert.equal(reader.error.problem, "cursor-mismatch");
});

test("a status that somebody in between made up is no problem of ours", async (t) => {
  const server = await running(t);
  server.instead.sse = (_, response) => response.writeHead(403, { "content-type": "text/html" }).end("<h1>No.</h1>");
  const reader = new Reader(follow(server.job));
  await reader.finished;
  assert.deepEqual([reader.error.status, reader.error.problem], [403, null]);
});

test("a transport that is not mounted is not tried again", async (t) => {
  const server = await running(t);
  server.instead.sse = (_, response) => problem(response, 404, "not-found");
  const reader = new Reader(follow(server.job));
  await until(() => reader.seqs.length === 2);
  await pass(30_000);
  server.append(event(3, "succeeded"));
  await reader.finished;
  assert.deepEqual([reader.transports, server.asked("sse").length], [["long-poll"], 1]);
});

test("where no transport is mounted the problem is told", async (t) => {
  const server = await running(t);
  for (const transport of TRANSPORTS) server.instead[transport] = (_, response) => problem(response, 404, "not-found");
  const reader = new Reader(follow(server.job));
  await reader.finished;
  assert.deepEqual([reader.error.status, reader.error.problem], [404, "not-found"]);
});

test("a gap that the last event was lost in is the end", async (t) => {
  const server = await running(t);
  const gap = { requested: 3, resumed_at: 9, job: { id: "j", seq: 8, cursor: "8-0", state: "succeeded" } };
  server.instead.sse = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`id: 8-0\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`);
    // The job is no longer known.
    server.instead.sse = (_, response) => problem(response, 404, "unknown-job");
  };
  const reader = new Reader(follow(server.job, { after: "2-0" }));
  await reader.finished;
  assert.deepEqual([reader.gaps, reader.error], [[gap], null]);
});

for (const transport of TRANSPORTS) {
  test(`a gap is handed on, and what comes after it: ${transport}`, async (t) => {
    const server = await Server.start(t);
    server.append(...wholeJob(10));
    server.kept = 6;
    const reader = new Reader(follow(server.job, { transports: [transport], after: "2-0" }));
    await reader.finished;
    assert.deepEqual(reader.gaps, [{ requested: 3, resumed_at: 6, job: { id: "j", seq: 10, cursor: "10-0" } }]);
    assert.deepEqual(reader.seqs, [6, 7, 8, 9, 10]);
  });

  test(`a job that is over and was seen whole ends at once: ${transport}`, async (t) => {
    const server = await Server.start(t);
    server.append(...wholeJob(3));
    const reader = new Reader(follow(server.job, { transports: [transport], after: "3-0" }));
    await reader.finished;
    assert.deepEqual([reader.seqs, reader.error], [[], null]);
  });

  test(`an abort in the middle of waiting ends it and all that is open: ${transport}`, async (t) => {
    const server = await running(t);
    const ending = new AbortController();
    const reader = new Reader(follow(server.job, { transports: [transport], signal: ending.signal }));
    await until(() => reader.seqs.length === 2);
    await settled();
    const reason = new Error("the user has left");
    ending.abort(reason);
    await reader.finished;
    assert.equal(reader.error, reason);
    await until(() => server.open === 0);
    const asked = server.requests.length;
    await pass(120_000);
    assert.equal(server.requests.length, asked);
  });

  test(`return() ends it while a next() waits: ${transport}`, async (t) => {
    const server = await running(t);
    const reader = new Reader(follow(server.job, { transports: [transport] }));
    await until(() => reader.seqs.length === 2);
    await settled();
    await reader.end();
    await reader.finished;
    assert.equal(reader.error, null);
    await until(() => server.open === 0);
    const asked = server.requests.length;
    await pass(120_000);
    assert.equal(server.requests.length, asked);
  });
}

test("break ends it", async (t) => {
  const server = await running(t);
  for await (const update of follow(server.job)) {
    if (update.kind === "event") break;
  }
  await until(() => server.open === 0);
});

test("an abort between two updates closes what is open, and the next one throws", async (t) => {
  const server = await running(t);
  const ending = new AbortController();
  const updates = follow(server.job, { signal: ending.signal });
  await updates.next();
  await until(() => server.open === 1);
  ending.abort();
  await until(() => server.open === 0);
  await assert.rejects(() => updates.next(), { name: "AbortError" });
});

test("what is over lets go of the caller's signal", async (t) => {
  const server = await Server.start(t);
  server.append(...wholeJob(3));
  const ending = new AbortController();
  const listening = new Set();
  for (const [method, note] of [["addEventListener", "add"], ["removeEventListener", "delete"]]) {
    t.mock.method(ending.signal, method, (_, listener) => listening[note](listener));
  }
  await follow(server.job, { signal: ending.signal }).toEnd();
  assert.equal(ending.signal.addEventListener.mock.callCount(), 1);
  assert.equal(listening.size, 0);
});

test("a signal that is aborted already lets nothing begin", async (t) => {
  const server = await running(t);
  await assert.rejects(() => follow(server.job, { signal: AbortSignal.abort() }).next(), { name: "AbortError" });
  assert.equal(server.requests.length, 0);
});

test("the timeout ends it, and what is open", async (t) => {
  const server = await running(t);
  const reader = new Reader(follow(server.job, { timeout: 60_000 }));
  await until(() => reader.seqs.length === 2);
  await passExactly(60_000, () => reader.over);
  assert.equal(reader.error.name, "TimeoutError");
  await until(() => server.open === 0);
});

test("nothing is asked for before somebody iterates", async (t) => {
  const server = await running(t);
  const updates = follow(server.job);
  await settled();
  assert.equal(server.requests.length, 0);
  await updates.return();
  assert.deepEqual(await updates.next(), { done: true, value: undefined });
  assert.equal(server.requests.length, 0);
});

test("callbacks are told what the iteration yields", async (t) => {
  const server = await Server.start(t);
  server.append(...wholeJob(4));
  server.kept = 2;
  const told = [];
  const last = await follow(server.job, {
    onTransport: (transport) => told.push(transport),
    onGap: (gap, transport) => told.push([gap.resumed_at, transport]),
    onEvent: ({ seq }, transport) => told.push([seq, transport]),
  }).toEnd();
  assert.deepEqual(told, ["sse", [2, "sse"], [2, "sse"], [3, "sse"], [4, "sse"]]);
  assert.equal(last.type, "succeeded");
});

test("what a callback throws ends the iteration and what is open", async (t) => {
  const server = await running(t);
  const onEvent = () => {
    throw new Error("a bug of the caller's");
  };
  await assert.rejects(() => follow(server.job, { onEvent }).toEnd(), /a bug of the caller's/);
  await until(() => server.open === 0);
});

for (const transport of TRANSPORTS) {
  test(`every request and every byte is counted: ${transport}`, async (t) => {
    const server = await Server.start(t);
    server.append(...wholeJob(2500));
    let traffic;
    const options = { transports: [transport], interval: 0, onTraffic: (total) => (traffic = total) };
    const reader = new Reader(follow(server.job, options));
    await passUntil(() => reader.over);
    assert.deepEqual(traffic, { requests: server.asked(transport).length, bytes: server.bytes[transport], transport });
  });
}

test("a transport that does not exist is a mistake of the caller's", async () => {
  await assert.rejects(() => follow("http://127.0.0.1/jobs/j", { transports: ["pigeon"] }).next(), TypeError);
  await assert.rejects(() => follow("http://127.0.0.1/jobs/j", { transports: [] }).next(), TypeError);
});

test("all jobs are followed in the order of the log", async (t) => {
  const server = await running(t);
  server.append(event(1, "queued", {}, "k"));
  const reader = new Reader(followAll(`${server.base}/`, { after: "1-0" }));
  await until(() => reader.seqs.length === 2);
  server.append(event(2, "succeeded", {}, "k"), event(3));
  await until(() => reader.seqs.length === 4);
  const events = reader.updates.filter(({ kind }) => kind === "event").map(({ event }) => `${event.job}${event.seq}`);
  assert.deepEqual(events, ["j2", "k1", "k2", "j3"]);
  await reader.end();
  await until(() => server.open === 0);
});

test("from now on is from the place in the log at which it was said, also where the stream breaks first", async (t) => {
  const server = await running(t);
  server.instead.events = (_, response) => json(response, 502, {});
  const reader = new Reader(followAll(server.base, { after: "now" }));
  t.after(() => reader.end());
  await until(() => server.asked("events").length === 1);
  server.append(event(3));
  delete server.instead.events;
  await passUntil(() => reader.seqs.length === 1);
  assert.deepEqual(reader.seqs, [3]);
});

test("some jobs are followed to their end", async (t) => {
  const server = await running(t);
  server.append(event(1, "queued", {}, "k"), event(1, "queued", {}, "l"));
  const reader = new Reader(followAll(server.base, { jobs: ["j", "k"] }));
  await until(() => reader.seqs.length === 3);
  server.append(event(2, "succeeded", {}, "k"), event(2, "log", {}, "l"), event(3, "succeeded"));
  await passUntil(() => reader.over);
  assert.deepEqual(reader.seqs, [1, 2, 1, 2, 3]);
  assert.equal(reader.error, null);
});
