import assert from "node:assert/strict";
import test from "node:test";

import { createPolling } from "../../web/tidings.js";
import { pass, settled } from "./support/clock.js";

test("it calls again and again, whether a call fails or not, until it is cancelled from within", async (t) => {
  let calls = 0;
  const { step } = createPolling(async (cancel) => {
    calls += 1;
    if (calls === 2) throw new Error("a call that fails");
    if (calls === 4) cancel();
  }, 1000);
  step();
  await settled();
  assert.equal(calls, 0, "the first call comes after an interval");
  for (let expected = 1; expected <= 4; expected += 1) {
    await pass(1000);
    assert.equal(calls, expected);
  }
  await pass(60_000);
  assert.equal(calls, 4);
});

test("a function that throws before it returns a promise is called again", async (t) => {
  let calls = 0;
  const { step, cancel } = createPolling(() => {
    calls += 1;
    throw new Error("at once");
  }, 1000);
  step();
  await pass(1000);
  await pass(1000);
  assert.equal(calls, 2);
  cancel();
});

test("there are never two calls at once, and the interval begins at the end of a call", async (t) => {
  let calls = 0;
  let finish;
  const polling = createPolling(() => {
    calls += 1;
    return new Promise((resolve) => (finish = resolve));
  }, 1000);
  polling.step();
  polling.step();
  await pass(1000);
  polling.step();
  await pass(60_000);
  assert.equal(calls, 1);
  finish();
  await settled();
  await pass(999);
  assert.equal(calls, 1);
  await pass(1);
  assert.equal(calls, 2);
  polling.cancel();
});

test("cancelling from outside stops the call that waits, and one under way is the last", async (t) => {
  let calls = 0;
  const waiting = createPolling(() => (calls += 1), 1000);
  waiting.step();
  waiting.cancel();
  waiting.step();
  await pass(5000);
  assert.equal(calls, 0);

  let finish;
  const running = createPolling(() => {
    calls += 1;
    return new Promise((resolve) => (finish = resolve));
  }, 1000);
  running.step();
  await pass(1000);
  running.cancel();
  finish();
  await pass(5000);
  assert.equal(calls, 1);
});

test("after the timeout nothing is called any more", async (t) => {
  let calls = 0;
  const { step } = createPolling(() => (calls += 1), 1000, 3500);
  step();
  for (let second = 0; second < 10; second += 1) await pass(1000);
  assert.equal(calls, 3);
});

test("the interval is ten seconds unless another one is given", async (t) => {
  let calls = 0;
  const { step, cancel } = createPolling(() => (calls += 1));
  step();
  await pass(9999);
  assert.equal(calls, 0);
  await pass(1);
  assert.equal(calls, 1);
  cancel();
});
