import assert from "node:assert/strict";
import test from "node:test";

import { begun, fold } from "../../web/page/fold.js";
import * as format from "../../web/page/format.js";
import { plain } from "../../web/page/plain.js";

const ID = "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10";

function event(seq, type, data) {
  return { job: ID, seq, cursor: `${seq}-00000000`, time: `2026-11-21T10:00:0${seq}.000Z`, type, data };
}

test("a job is what its events make of it", () => {
  const progress = { done: 1, total: 4, unit: "steps", message: "build" };
  const error = { code: "exit-status", message: "exit status 7" };
  let job = begun(event(1, "queued", { kind: "pipeline", input: { pipeline: "deploy" } }));
  assert.deepEqual([job.id, job.state, format.title(job), format.took(job)], [ID, "queued", "deploy", null]);
  job = fold(job, event(2, "started", { attempt: 1 }));
  job = fold(job, event(3, "progress", progress));
  job = fold(job, event(4, "log", { stream: "stdout", line: "hello" }));
  assert.deepEqual([job.state, job.progress, job.seq, job.cursor], ["running", progress, 4, "4-00000000"]);
  job = fold(job, event(5, "cancelling", { reason: null }));
  assert.deepEqual([job.state, job.cancel_requested], ["running", true]);
  job = fold(job, event(6, "failed", { error }));
  assert.deepEqual([job.state, job.error, format.took(job)], ["failed", error, 4000]);
});

test("an event that a job holds already changes nothing", () => {
  const job = fold(begun(event(1, "queued", { kind: "a", input: null })), event(2, "started", { attempt: 1 }));
  assert.equal(fold(job, event(2, "cancelled", { reason: null })), job);
});

test("numbers are shown as people read them", () => {
  assert.equal(format.counted(1, "line"), "1 line");
  assert.equal(format.counted(100_000, "line"), "100,000 lines");
  assert.deepEqual([999, 1000, 1_234_567].map(format.bytes), ["999 B", "1.0 kB", "1.2 MB"]);
  assert.deepEqual([0.4, 999, 1300].map(format.delay), ["0 ms", "999 ms", "1.3 s"]);
  assert.deepEqual([-5, 400, 59_000, 192_000, 7_500_000].map(format.duration),
    ["0.0 s", "0.4 s", "59.0 s", "3 min 12 s", "2 h 5 min"]);
});

test("progress is told with as much as is known of it", () => {
  const doing = (progress, rest) => format.doing({ state: "running", progress, ...rest });
  assert.equal(doing({ done: 40, total: 100, unit: "%", message: "building" }), "40 % · building");
  assert.equal(doing({ done: 2, total: 4, unit: "steps", message: null }), "2 of 4 steps");
  assert.equal(doing({ done: 1200, total: null, unit: null, message: null }), "1,200");
  assert.equal(doing({ done: 5 }), "5");
  assert.equal(doing({ done: 5, unit: "%" }), "5 %");
  assert.equal(doing(null), "");
  assert.equal(doing(null, { cancel_requested: true }), "stopping");
  const fraction = (progress, state = "running") => format.fraction({ state, progress });
  assert.equal(fraction({ done: 1, total: 4 }), 0.25);
  assert.equal(fraction({ done: 9, total: 4 }), 1);
  assert.equal(fraction({ done: 5 }), null);
  assert.deepEqual([fraction({ done: 1, total: null }), fraction({ done: 0, total: 0 }), fraction(null)], [null, null, null]);
  assert.equal(fraction(null, "succeeded"), 1);
});

test("JSON is broken where it does not fit on a line, and says the same", () => {
  assert.equal(format.json({ a: [1, "x", null], b: {} }), '{ "a": [1, "x", null], "b": {} }');
  const long = { steps: Array.from({ length: 3 }, (_, index) => ({ name: `step ${index}`, text: "x".repeat(40) })) };
  const shown = format.json(long);
  assert.equal(shown.split("\n").length, 7);
  assert.deepEqual(JSON.parse(shown), long);
});

test("a line is shown as a terminal would, without colours and commands", () => {
  assert.equal(plain("\u001b[1;32mok\u001b[0m \u001b]0;title\u0007done\u001b(B"), "ok done");
  assert.equal(plain("10 %\r50 %\r100 %\r"), "100 %");
  assert.equal(plain("a\tb\u0000\u007f"), "a\tb\u2400\u2421");
  assert.equal(plain("<b>&amp;"), "<b>&amp;");
});
