// `follow` and `followAll`: what the caller gives, turned into a reader.

import { Ladder, TRANSPORTS } from "./ladder.js";
import { JobReading, LogReading } from "./reading.js";
import { readShared } from "./shared.js";
import { Updates } from "./updates.js";
import { absolute, locate } from "./urls.js";

/** Follows a job. `tidings.d.ts` says how, and what the options are. */
export function follow(url, options = {}) {
  const job = locate(absolute(url), "");
  const { transports = TRANSPORTS } = options;
  return new Updates(options, (signal, count) => {
    const alone = (after) => {
      return new Ladder(new JobReading(job, { ...options, after }, count), transports, signal).updates();
    };
    const wish = { type: "follow", job: job.href };
    return read(locate(job, "/../.."), wish, options, signal, alone);
  });
}

/** Follows all jobs, or some, in the order in which things happen. */
export function followAll(url, options = {}) {
  const base = locate(absolute(url), "/");
  return new Updates(options, (signal, count) => {
    // There is no page of all jobs, which a reader over the browser's own `EventSource` would have to ask for beside
    // it.
    const plain = { ...options, eventSource: "fetch" };
    const alone = (after) => new Ladder(new LogReading(base, { ...plain, after }, count), ["sse"], signal).updates();
    return read(base, { type: "watch" }, options, signal, alone);
  });
}

/** What concerns one reader alone, and keeps it from sharing what others read. */
const PRIVATE = ["transports", "interval", "onTraffic", "fetch", "eventSource", "jobs", "kind"];

function read(base, wish, options, signal, alone) {
  const { after = null, shared = true } = options;
  // What "now" is differs from tab to tab.
  const isPrivate = after === "now" || PRIVATE.some((name) => (options[name] ?? null) !== null);
  const canShare = typeof globalThis.SharedWorker === "function";
  return shared && canShare && !isPrivate ? readShared(base, wish, after, signal, alone) : alone(after);
}
