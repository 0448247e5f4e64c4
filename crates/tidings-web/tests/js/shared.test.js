// Several tabs, one connection.

import assert from "node:assert/strict";
import test from "node:test";

import { pass, passUntil, settled, until } from "./support/clock.js";
import { Reader } from "./support/reader.js";
import { Server, event, json, problem, wholeJob } from "./support/server.js";
import { browser, killWorkers, openTab } from "./support/tabs.js";

/** Opens tabs that each follow a job. */
async function tabs(t, jobs, options = {}) {
  const opened = [];
  for (const job of jobs) {
    // The module keeps its connection to itself, as a tab does.
    const { follow } = await openTab();
    const reader = new Reader(follow(job, options));
    t.after(() => reader.end());
    opened.push(reader);
  }
  return opened;
}

const numbers = (length) => wholeJob(length).map(({ seq }) => seq);

test("twelve tabs that follow one job share one stream, and all see the history and what happens", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "started"));
  const readers = await tabs(t, Array(12).fill(server.job));
  await passUntil(() => readers.every(({ transports }) => transports.includes("sse")));
  server.append(event(3));
  await until(() => readers.every(({ seqs }) => seqs.length === 3));
  assert.equal(server.mostStreams, 1);
  server.append(event(4, "succeeded"));
  await Promise.all(readers.map(({ finished }) => finished));
  for (const reader of readers) assert.deepEqual([reader.seqs, reader.error], [[1, 2, 3, 4], null]);
  await until(() => server.open === 0);
});

test("twelve tabs that come one after another, each with its own job, never have more than two streams", async (t) => {
  const server = await Server.start(t);
  const readers = [];
  for (let count = 1; count <= 12; count += 1) {
    server.append(event(1, "queued", {}, `job-${count}`));
    readers.push(...(await tabs(t, [server.jobUrl(`job-${count}`)])));
    await passUntil(() => readers.at(-1).transports.includes("sse"), 10);
  }
  for (let count = 1; count <= 12; count += 1) server.append(event(2, "succeeded", {}, `job-${count}`));
  await Promise.all(readers.map(({ finished }) => finished));
  for (const reader of readers) assert.deepEqual(reader.seqs, [1, 2]);
  assert.ok(server.mostStreams <= 2, `${server.mostStreams} streams`);
});

test("what happens while a tab joins is seen once by all", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const readers = [];
  let seq = 1;
  for (let count = 0; count < 8; count += 1) {
    readers.push(...(await tabs(t, [server.job])));
    for (let more = 0; more < 25; more += 1) {
      server.append(event((seq += 1)));
      await pass(3);
    }
  }
  server.append(event((seq += 1), "succeeded"));
  await passUntil(() => readers.every(({ over }) => over));
  for (const reader of readers) assert.deepEqual(reader.seqs, numbers(seq));
});

test("a tab that joins late with a cursor sees the rest", async (t) => {
  const server = await Server.start(t);
  server.append(...wholeJob(10).slice(0, 9));
  const [early] = await tabs(t, [server.job]);
  await passUntil(() => early.seqs.length === 9);
  const [late] = await tabs(t, [server.job], { after: "7-0" });
  await passUntil(() => late.seqs.length === 2);
  server.append(event(10, "succeeded"));
  await passUntil(() => early.over && late.over);
  assert.deepEqual([early.seqs, late.seqs], [numbers(10), [8, 9, 10]]);
});

test("a job that is over needs no stream", async (t) => {
  const server = await Server.start(t);
  server.append(...wholeJob(2500));
  const [reader] = await tabs(t, [server.job]);
  await reader.finished;
  assert.deepEqual(reader.seqs, numbers(2500));
  assert.equal(server.mostStreams, 0);
});

test("while streams are held back jobs are polled, and the stream comes back within a minute", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(1, "queued", {}, "k"));
  server.instead.events = () => {};
  const readers = await tabs(t, [server.job, server.job, server.jobUrl("k")]);
  await passUntil(() => readers.every(({ transports }) => transports.at(-1) === "long-poll"));
  server.append(event(2), event(2, "log", {}, "k"));
  await passUntil(() => readers.every(({ seqs }) => seqs.length === 2));
  assert.equal(server.mostStreams, 0);

  delete server.instead.events;
  assert.ok((await passUntil(() => readers.every(({ transports }) => transports.at(-1) === "sse"))) <= 60_000);
  await until(() => server.open === 1);
  server.append(event(3, "succeeded"), event(3, "succeeded", {}, "k"));
  await Promise.all(readers.map(({ finished }) => finished));
  for (const reader of readers) assert.deepEqual(reader.seqs, [1, 2, 3]);
});

test("who joins while jobs are polled is told over what", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  server.instead.events = () => {};
  const [first] = await tabs(t, [server.job]);
  await passUntil(() => first.transports.at(-1) === "long-poll");
  const [second] = await tabs(t, [server.job]);
  await until(() => second.seqs.length === 1 && second.transports.length > 0);
  assert.deepEqual(second.transports, ["long-poll"]);
});

test("who joins after a stream was refused does not wait for the next try", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  server.instead.events = (_, response) => problem(response, 404, "unknown-job");
  const [first] = await tabs(t, [server.job]);
  await passUntil(() => first.transports.at(-1) === "long-poll");
  delete server.instead.events;
  const { followAll } = await openTab();
  const watcher = new Reader(followAll(server.base));
  t.after(() => watcher.end());
  assert.ok((await passUntil(() => watcher.seqs.length === 1)) <= 2000);
});

test("with several jobs and no stream none of a browser's six connections is held for long", async (t) => {
  const server = await Server.start(t);
  const jobs = ["a", "b", "c", "d"];
  for (const job of jobs) server.append(event(1, "queued", {}, job));
  server.instead.events = (_, response) => json(response, 502, {});
  const readers = await tabs(t, jobs.map((job) => server.jobUrl(job)));
  await passUntil(() => readers.every(({ transports }) => transports.at(-1) === "short-poll"));
  for (const job of jobs) server.append(event(2, "succeeded", {}, job));
  await passUntil(() => readers.every(({ over }) => over));
  assert.equal(server.asked("long-poll").length, 0);
});

test("each tab is told what is wrong with its own job", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const [good, unknown] = await tabs(t, [server.job, server.jobUrl("nobody")]);
  await unknown.finished;
  const { name, status, problem } = unknown.error;
  assert.deepEqual([name, status, problem], ["ProblemError", 404, "unknown-job"]);
  await passUntil(() => good.transports.includes("sse"));
  server.append(event(2, "succeeded"));
  await good.finished;
  assert.deepEqual(good.seqs, [1, 2]);
});

test("a gap is told to each tab that it concerns", async (t) => {
  const server = await Server.start(t);
  server.append(...wholeJob(10));
  server.kept = 6;
  const [late] = await tabs(t, [server.job], { after: "6-0" });
  const [early] = await tabs(t, [server.job]);
  await passUntil(() => late.over && early.over);
  assert.deepEqual([late.gaps, late.seqs], [[], [7, 8, 9, 10]]);
  assert.deepEqual(early.gaps.map(({ requested, resumed_at, job }) => [requested, resumed_at, job.seq]), [[1, 6, 10]]);
  assert.deepEqual(early.seqs, [6, 7, 8, 9, 10]);
});

test("a tab that does not read is sent a bounded number of events, and all of them once it does", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const { follow } = await openTab();
  const slow = follow(server.job);
  const [quick] = await tabs(t, [server.job]);
  assert.equal((await slow.next()).done, false);
  await passUntil(() => quick.transports.includes("sse"));
  for (let seq = 2; seq <= 5000; seq += 1) {
    server.append(event(seq));
    if (seq % 50 === 0) await pass(1);
  }
  await passUntil(() => quick.seqs.length === 5000);
  const asked = server.asked("short-poll").length;
  const reader = new Reader(slow);
  server.append(event(5001, "succeeded"));
  await passUntil(() => reader.over);
  assert.deepEqual(reader.seqs.at(-1), 5001);
  assert.deepEqual(new Set(reader.seqs).size, reader.seqs.length);
  assert.ok(reader.seqs.length >= 5000, `${reader.seqs.length}`);
  assert.ok(server.asked("short-poll").length > asked, "what it had no room for was read later");
});

test("when nobody follows any more the stream is closed", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const readers = await tabs(t, [server.job, server.job]);
  await passUntil(() => readers.every(({ transports }) => transports.includes("sse")));
  await readers[0].end();
  await settled();
  assert.equal(server.open, 1);
  await readers[1].end();
  await until(() => server.open === 0);
});

test("who is ended between two updates, and asks for nothing more, is let go of", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const { follow } = await openTab();
  const ending = new AbortController();
  const updates = follow(server.job, { signal: ending.signal });
  assert.equal((await updates.next()).done, false);
  await passUntil(() => server.open === 1);
  ending.abort();
  await until(() => server.open === 0);
});

test("where there is no worker each tab reads by itself", async (t) => {
  browser.loads = false;
  t.after(() => (browser.loads = true));
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "succeeded"));
  const [reader] = await tabs(t, [server.job]);
  await reader.finished;
  assert.deepEqual([reader.seqs, reader.transports, server.asked("sse").length], [[1, 2], ["sse"], 1]);
});

test("a worker that comes too late reads nothing for a tab that reads by itself", async (t) => {
  browser.takes = 15_000;
  t.after(() => (browser.takes = 0));
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const [reader] = await tabs(t, [server.job]);
  assert.ok((await passUntil(() => reader.transports.includes("sse"))) >= 10_000);
  for (let passed = 0; passed < 10_000; passed += 500) await pass(500);
  assert.deepEqual([server.open, server.asked("events").length], [1, 0]);
  await reader.end();
  await until(() => server.open === 0);
});

test("a worker that dies is noticed, and followed without repeats over the next one", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const readers = await tabs(t, [server.job, server.job]);
  await passUntil(() => readers.every(({ transports }) => transports.includes("sse")));
  killWorkers();
  await until(() => server.open === 0);
  server.append(event(2));
  assert.ok((await passUntil(() => readers.every(({ seqs }) => seqs.length === 2))) <= 60_000);
  await passUntil(() => server.open === 1);
  server.append(event(3, "succeeded"));
  await passUntil(() => readers.every(({ over }) => over));
  for (const { seqs } of readers) assert.deepEqual(seqs, [1, 2, 3]);
});

test("a worker with nothing to tell is not taken for dead", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const [reader] = await tabs(t, [server.job]);
  await passUntil(() => reader.transports.includes("sse"));
  const asked = server.requests.length;
  for (let passed = 0; passed < 300_000; passed += 1000) {
    await pass(1000);
    server.beat();
  }
  assert.equal(server.requests.length, asked);
});

test("where there are no short polls each tab reads by itself", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  server.instead["short-poll"] = (_, response) => problem(response, 404, "not-found");
  const readers = await tabs(t, [server.job, server.job]);
  await passUntil(() => server.asked("sse").length === 2);
  server.append(event(2, "succeeded"));
  await passUntil(() => readers.every(({ over }) => over));
  for (const { seqs, error } of readers) assert.deepEqual([seqs, error], [[1, 2], null]);
});

test("who asks for something of its own shares nothing", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "succeeded"));
  const ownFetch = (...request) => fetch(...request);
  for (const options of [{ shared: false }, { transports: ["sse"] }, { onTraffic: () => {} }, { fetch: ownFetch }]) {
    const [reader] = await tabs(t, [server.job], options);
    await reader.finished;
  }
  assert.equal(server.asked("sse").length, 4);
});

test("all jobs are watched over the same stream as single ones, by each tab from its own place", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(1, "queued", {}, "k"), event(2));
  const [single] = await tabs(t, [server.job]);
  await passUntil(() => single.transports.includes("sse"));
  const watchers = [];
  for (const after of [undefined, "2-0", "3-0"]) {
    const { followAll } = await openTab();
    watchers.push(new Reader(followAll(server.base, { after })));
    t.after(() => watchers.at(-1).end());
  }
  await passUntil(() => watchers.every(({ transports }) => transports.includes("sse")));
  server.append(event(2, "log", {}, "k"), event(3, "succeeded"));
  await passUntil(() => single.over && watchers.every(({ updates }) => updates.at(-1).event?.type === "succeeded"));
  assert.deepEqual(single.seqs, [1, 2, 3]);
  const seen = watchers.map(({ updates }) => updates.filter(({ kind }) => kind === "event"));
  const shown = seen.map((events) => events.map(({ event }) => `${event.job}${event.seq}`).join(" "));
  assert.deepEqual(shown, ["j1 k1 j2 k2 j3", "j2 k2 j3", "k2 j3"]);
  assert.ok(server.mostStreams <= 2, `${server.mostStreams} streams`);
  for (const watcher of watchers) await watcher.end();
  await until(() => server.open === 0);
});

test("who watches all jobs is told that the stream is dead, and goes on from its place", async (t) => {
  const server = await Server.start(t);
  const { followAll } = await openTab();
  const watcher = new Reader(followAll(server.base));
  t.after(() => watcher.end());
  server.append(event(1, "queued"));
  await passUntil(() => watcher.seqs.length === 1);
  server.instead.events = () => {};
  await passUntil(() => watcher.transports.at(-1) === null);
  server.append(event(2));
  delete server.instead.events;
  await passUntil(() => watcher.seqs.length === 2);
  assert.deepEqual(watcher.seqs, [1, 2]);
  assert.equal(server.asked("events").at(-1).query.after, "1-0");
});

test("an error of the stream is told to who watches all jobs, and to nobody else", async (t) => {
  const server = await Server.start(t);
  server.append(event(1, "queued"));
  const [single] = await tabs(t, [server.job]);
  await passUntil(() => single.transports.includes("sse"));
  server.instead.events = (_, response) => problem(response, 410, "cursor-mismatch");
  const { followAll } = await openTab();
  const watcher = new Reader(followAll(server.base, { after: "9-ffffffff" }));
  await passUntil(() => watcher.over);
  assert.equal(watcher.error.problem, "cursor-mismatch");
  delete server.instead.events;
  server.append(event(2));
  await passUntil(() => single.seqs.length === 2 && single.transports.at(-1) === "sse");
  server.append(event(3, "succeeded"));
  await single.finished;
  assert.deepEqual(single.seqs, [1, 2, 3]);
});

for (const [cursor, name] of [["1-ffffffff", "cursor-mismatch"], ["no cursor", "invalid-cursor"]]) {
  test(`${name} of one tab is told to that tab, and the others watch on`, async (t) => {
    const server = await Server.start(t);
    server.append(event(1, "queued"), event(2, "started"));
    server.instead.events = (asked, response) => {
      if (asked.query.after === cursor) problem(response, 410, name);
      else server.usual(asked, response);
    };
    const watch = async (after) => {
      const { followAll } = await openTab();
      const reader = new Reader(followAll(server.base, { after }));
      t.after(() => reader.end());
      return reader;
    };
    const good = await watch("2-0");
    await passUntil(() => good.transports.includes("sse"));
    const bad = await watch(cursor);
    await passUntil(() => bad.over);
    assert.deepEqual([bad.error.problem, good.error], [name, null]);
    server.append(event(3));
    await passUntil(() => good.over || good.seqs.length === 1, 10);
    assert.deepEqual([good.seqs, good.transports, good.error], [[3], ["sse"], null]);
  });
}
