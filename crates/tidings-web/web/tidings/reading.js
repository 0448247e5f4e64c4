// What is read, and how far it has been: the part of a reader that outlives its transports.

import { Exchange } from "./exchange.js";
import { Lost } from "./failures.js";
import { Pages } from "./pages.js";
import { silenceOf } from "./heartbeat.js";
import { PATIENCE, isLast } from "./sources.js";
import { locate } from "./urls.js";

/** What all readers have in common. */
class Reading {
  /** How long the pages are that get through. */
  pages = new Pages();
  /** Milliseconds of silence after which a stream is dead, or null while that is not known. A function. */
  silence;
  #sender;

  /**
   * @param {URL} transports where the server tells what it offers
   * @param {object} options of `follow`
   * @param {import("./updates.js").Count} count
   */
  constructor(transports, { after = null, interval = null, eventSource = "fetch", fetch = globalThis.fetch }, count) {
    /** Names what was taken last. */
    this.cursor = after;
    /** Milliseconds between two short polls, where the caller has a wish. */
    this.interval = interval;
    /** Whether streams are read by the browser's own `EventSource`. */
    this.isNative = eventSource === "native";
    this.silence = silenceOf(transports, fetch);
    this.#sender = (transport) => ({ fetch, count: count.bind(null, transport) });
  }

  /** What the requests of a transport share. */
  sender(transport) {
    return this.#sender(transport);
  }
}

/** Reads one job. */
export class JobReading extends Reading {
  #job;
  #options;
  /** The number of the last event, where that is known. */
  #seq = null;

  /** @param {URL} job */
  constructor(job, options, count) {
    super(locate(job, "/../../transports"), options, count);
    this.#job = job;
    this.#options = options;
  }

  /** A reader of its own, of the same job, which is as far as this one. */
  copy() {
    return new JobReading(this.#job, { ...this.#options, after: this.cursor }, () => {});
  }

  /** Where a transport tells of the job. */
  url(transport, parameters) {
    return locate(this.#job, `/${transport}`, { ...parameters, after: this.cursor });
  }

  /** Finds out what "now" is; for a job that is a cursor from the start. */
  async anchor() {}

  /** Takes what came as far as it is new, and gives the update that tells of it, or null. */
  take({ event, gap, cursor }) {
    if (gap !== undefined) return this.#jump(gap, cursor);
    // A transport that was changed to begins at an older cursor than the other one has come to meanwhile.
    if (this.#seq !== null && event.seq <= this.#seq) return null;
    if (this.#seq !== null && event.seq > this.#seq + 1) throw new Lost("events are missing in between");
    this.#seq = event.seq;
    this.cursor = cursor;
    return { kind: "event", event };
  }

  /** Jumps over a gap, or over what of it has not been seen over another transport. */
  #jump(gap, cursor) {
    if (this.#seq !== null && gap.resumed_at <= this.#seq + 1) return null;
    const requested = Math.max(gap.requested, this.#seq ?? 0);
    this.#seq = gap.resumed_at - 1;
    this.cursor = cursor;
    return { kind: "gap", gap: { ...gap, requested } };
  }

  /** Whether a stream has said all with this. */
  endsWith(item) {
    return isLast(item);
  }
}

/** Reads the events of all jobs, or of some, in the order of the server's log. */
export class LogReading extends Reading {
  #base;
  #filter;

  /** @param {URL} base what `/events` lies below */
  constructor(base, options, count) {
    super(locate(base, "/transports"), options, count);
    this.#base = base;
    this.#filter = { job: options.jobs, kind: options.kind };
  }

  /** Where they are streamed. There is no other transport for them. */
  url(transport, parameters) {
    return locate(this.#base, `/events/${transport}`, { ...parameters, ...this.#filter, after: this.cursor });
  }

  /** Finds out what "now" is, so that a stream that breaks before its first event is gone on with from there. */
  async anchor(signal) {
    if (this.cursor !== "now") return;
    const exchange = new Exchange(this.sender("sse"), signal);
    try {
      await exchange.send(locate(this.#base, "/jobs", { limit: 1 }), {}, PATIENCE);
      if (exchange.response.status !== 200) throw await exchange.refusal();
      this.cursor = (await exchange.json()).cursor;
    } finally {
      exchange.close();
    }
  }

  /** Takes what came, and gives the update that tells of it. A stream begins where the one before has ended. */
  take({ event, gap, cursor }) {
    this.cursor = cursor;
    return gap === undefined ? { kind: "event", event } : { kind: "gap", gap };
  }

  /** Whether a stream has said all with this. That of some jobs ends by itself, and then there is `204`. */
  endsWith() {
    return false;
  }
}
