// Tidings: follow long jobs from a browser, or from Node 20 and later. No dependencies, no build step; the types are in
// `tidings.d.ts`. A job is followed in five lines:
//
//     import { follow, submit } from "./tidings.js";
//     const job = await submit(".", { kind: "pipeline", input: { pipeline: "deploy" } });
//     for await (const update of follow(`jobs/${job.id}`)) {
//       if (update.kind === "event") console.log(update.event.type, update.event.data);
//     }
//
// The iteration ends after the job's last event. Each event comes once and in order, whichever transport works and
// however often that changes; `break` ends everything that is under way.

export { follow, followAll } from "./tidings/follow.js";
export { cancel, get, list, submit, transports } from "./tidings/jobs.js";
export { createPolling } from "./tidings/polling.js";
export { ProblemError } from "./tidings/failures.js";
