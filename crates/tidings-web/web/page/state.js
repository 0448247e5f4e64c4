/** A job's state, in a word and a sign of its own shape, so that it is told by more than colour. */

import { setText } from "./dom.js";
import { TERMINAL, fraction } from "./format.js";

/** What a state is called in the page: `cancelling` is one for those who wait for it. */
export function stateOf(job) {
  return job.cancel_requested && !TERMINAL.has(job.state) ? "cancelling" : job.state;
}

/** Shows a job's state in a `.state`. */
export function showState(node, job) {
  const state = stateOf(job);
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  setText(node, state);
}

/** Shows how far a job is in a `<progress>`: moving to and fro where it runs and nobody knows. */
export function showBar(bar, job) {
  const done = fraction(job);
  bar.dataset.state = job.state;
  if (done !== null) bar.value = done;
  else if (job.state === "running") bar.removeAttribute("value");
  else bar.value = 0;
}
