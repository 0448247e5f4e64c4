// Against the real server.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { cancel, follow, followAll, get, list, submit, transports } from "../../web/tidings.js";
import { Reported, missing, startCutting, startServer } from "./support/program.js";
import { Reader } from "./support/reader.js";
import { openTab } from "./support/tabs.js";

const WEB = new URL("../../web/", import.meta.url);
const numbers = (length) => Array.from({ length }, (_, index) => index + 1);

for (const names of [["sse", "long-poll", "short-poll"], ["sse"], ["long-poll"], ["short-poll"]]) {
  test(`a job is followed as it goes: ${names.join(", ")}`, { skip: missing }, async (t) => {
    const base = await startServer(t);
    const job = await Reported.open(base);
    const reader = new Reader(follow(job.url, { transports: names, interval: 20, shared: false }));
    for (let count = 0; count < 20; count += 1) await job.lines(20);
    await job.succeed();
    await reader.finished;
    assert.equal(reader.error, null);
    assert.deepEqual(reader.seqs, numbers(403));
    assert.deepEqual(reader.transports, [names[0]]);
    const { id, seq, state } = await get(job.url);
    assert.deepEqual([id, seq, state], [job.id, 403, "succeeded"]);
  });

  test(`every connection is cut after 16 to 256 KB: ${names.join(", ")}`, { skip: missing }, async (t) => {
    const base = await startServer(t);
    const job = await Reported.open(base);
    // More than ten times what goes over one connection.
    for (let count = 0; count < 5; count += 1) await job.lines(1000, 300);
    const cut = await startCutting(t, base, 16 * 1024, 256 * 1024);
    const url = job.url.replace(base, cut);
    const reader = new Reader(follow(url, { transports: names, interval: 20, shared: false }));
    await job.succeed();
    await reader.finished;
    assert.equal(reader.error, null);
    assert.deepEqual(reader.seqs, numbers(5003));
    assert.deepEqual(new Set(reader.transports), new Set([names[0]]));
  });
}

test("tabs that share a stream see all of their jobs", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const jobs = [await Reported.open(base), await Reported.open(base)];
  await jobs[0].lines(1500);
  const readers = [];
  for (let count = 0; count < 6; count += 1) {
    const tab = await openTab();
    readers.push(...jobs.map((job) => new Reader(tab.follow(job.url))));
    for (const job of jobs) await job.lines(50);
  }
  for (const job of jobs) await job.succeed();
  await Promise.all(readers.map(({ finished }) => finished));
  for (const [at, { seqs, error }] of readers.entries()) {
    assert.equal(error, null);
    assert.deepEqual(seqs, numbers(at % 2 === 0 ? 1803 : 303));
  }
});

test("all jobs are followed from the place at which they were listed", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const earlier = await Reported.open(base);
  const { jobs, cursor } = await list(base);
  assert.deepEqual(jobs.map(({ id }) => id), [earlier.id]);
  const later = await Reported.open(base);
  const reader = new Reader(followAll(base, { after: cursor, jobs: [earlier.id, later.id], shared: false }));
  await earlier.lines(2);
  await earlier.succeed();
  await later.succeed();
  await reader.finished;
  const seen = reader.updates.filter(({ kind }) => kind === "event").map(({ event }) => [event.job, event.seq]);
  const [a, b] = [earlier.id, later.id];
  assert.deepEqual(seen, [[b, 1], [b, 2], [a, 3], [a, 4], [a, 5], [b, 3]]);
});

test("a job is submitted once, and cancelled", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const submission = { kind: "pipeline", input: { pipeline: "deploy" } };
  const job = await submit(base, submission, { idempotencyKey: "once" });
  assert.equal((await submit(base, submission, { idempotencyKey: "once" })).id, job.id);
  const url = new URL(job.links.self, base);
  assert.equal((await cancel(url, "enough")).cancel_requested, true);
  const last = await follow(url).toEnd();
  assert.deepEqual([last.type, last.data], ["cancelled", { reason: "enough" }]);
});

test("what the server says is wrong is told by name", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const unknown = `${base}/jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10`;
  const problemOf = (promise) => promise.then(() => null, ({ problem }) => problem);
  assert.equal(await problemOf(follow(unknown).toEnd()), "unknown-job");
  assert.equal(await problemOf(submit(base, { kind: "nonsense" })), "unknown-kind");
  const job = await Reported.open(base);
  assert.equal(await problemOf(follow(job.url, { after: "2-00000000" }).toEnd()), "cursor-mismatch");
  const names = (await transports(base)).map(({ name }) => name);
  assert.deepEqual(names.filter((name) => ["sse", "long-poll", "short-poll"].includes(name)).length, 3);
});

test("the module is served, with all that it imports", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const seen = new Set();
  const load = async (url) => {
    if (seen.has(url.href)) return;
    seen.add(url.href);
    const response = await fetch(url);
    assert.equal(response.status, 200, url.href);
    assert.equal(response.headers.get("content-type"), "text/javascript; charset=utf-8");
    assert.match(response.headers.get("content-security-policy"), /worker-src 'self'/);
    const text = await response.text();
    assert.equal(text, await readFile(new URL(url.pathname.slice(1), WEB), "utf8"));
    for (const [, path] of text.matchAll(/(?:from |new URL\()"(\.\/[^"]+\.js)"/g)) await load(new URL(path, url));
  };
  await load(new URL("/tidings.js", base));
  assert.ok(seen.has(`${base}/tidings/worker.js`) && seen.has(`${base}/tidings/event-stream.js`));
  const tag = (await fetch(`${base}/tidings.js`)).headers.get("etag");
  assert.equal((await fetch(`${base}/tidings.js`, { headers: { "if-none-match": tag } })).status, 304);
  assert.equal((await fetch(`${base}/tidings.js`, { method: "POST" })).status, 405);
});

test("no timer is left once a job is over, for which a program would have to wait", { skip: missing }, async (t) => {
  const base = await startServer(t);
  const job = await Reported.open(base);
  const { mock: begun } = t.mock.method(globalThis, "setTimeout");
  const { mock: ended } = t.mock.method(globalThis, "clearTimeout");
  const reader = new Reader(follow(job.url, { shared: false }));
  await job.lines(20);
  await job.succeed();
  await reader.finished;
  await new Promise(setImmediate);
  const long = begun.calls.filter((call) => call.arguments[1] >= 10_000);
  const cleared = new Set(ended.calls.map((call) => call.arguments[0]));
  assert.ok(long.length > 0, "none was set");
  assert.deepEqual(long.filter((call) => !cleared.has(call.result)).map((call) => call.arguments[1]), []);
});
