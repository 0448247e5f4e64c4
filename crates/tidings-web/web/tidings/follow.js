// `follow` and `followAll`: what the caller gives, turned into a reader, and what the reader tells, handed to the caller.

import { Ladder, TRANSPORTS } from "./ladder.js";
import { Updates } from "./updates.js";
import { silenceOf } from "./heartbeat.js";
import { absolute, locate } from "./urls.js";

/** Follows a job. `tidings.d.ts` says how, and what the options are. */
export function follow(url, options = {}) {
  const { transports = TRANSPORTS, interval = null, after = null, fetch = globalThis.fetch } = options;
  const job = absolute(url);
  return new Updates(options, (signal, count) => {
    const below = (path, parameters) => locate(job, path, parameters);
    const sender = (transport) => ({ fetch, count: count.bind(null, transport) });
    const silence = silenceOf(locate(job, "/../../transports"), fetch);
    const reading = { url: below, cursor: after, interval, silence, sender };
    return new Ladder(reading, transports, signal).updates();
  });
}
