// Time that passes when a test says so.

import assert from "node:assert/strict";
import { mock } from "node:test";

// Once for all tests of a file, and for good: what `fetch` has under way must not see two clocks.
mock.timers.enable({ apis: ["setTimeout", "Date"] });

/** Lets time pass, and then all that follows from it. */
export async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settled();
}

/** Lets everything happen that waits for no more than its turn. */
export async function settled() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
}

/** Waits for a condition, however long a busy machine takes for it. What never comes about is the runner's to end. */
export async function until(condition) {
  while (!condition()) await new Promise(setImmediate);
}

/** Lets time pass in small steps until a condition holds, and says how much it was. */
export async function passUntil(condition, step = 100) {
  for (let passed = 0; ; passed += step) {
    if (condition()) return passed;
    assert.ok(passed < 300_000, "it does not come about");
    await pass(step);
  }
}

/** Lets time pass until a condition holds: not before so many milliseconds, and hardly later. */
export async function passExactly(milliseconds, condition) {
  await pass(milliseconds - 1);
  assert.ok(!condition(), "it comes about too early");
  // On a busy machine a timer may be set late; so time goes on as slowly as it can.
  const late = await passUntil(condition, 1);
  assert.ok(late <= 2000, `it comes about ${late} ms too late`);
}
