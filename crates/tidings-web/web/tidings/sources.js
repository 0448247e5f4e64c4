// One way each to read a job's events: what is asked, and what an answer means. `ladder.js` picks among them.
//
// A source is open once something has come: the first bytes of a stream, or a page. From then on `next()` gives
// `{items, over}`: what came, and whether that was all. An item is `{event, cursor}` or `{gap, cursor}`; the cursor is
// what to go on from after it. Who has another source that works asks for `proven()` first, which waits until more has
// come, be it a heartbeat or a page on which there is nothing; none of it is lost to `next()`.

import { Exchange } from "./exchange.js";
import { Lost } from "./failures.js";
import { EventStreamParser } from "./event-stream.js";
import { sleep } from "./wait.js";

/** How long a request may take until something comes of it, in milliseconds. Streams are told something at once. */
export const PATIENCE = 5000;
/** What a held request is given above its hold. */
const SLACK = 10_000;
/** How long the server is asked to hold a request, in seconds. */
const HOLD = 25;
/** The same where it is to be shown that held requests are answered. */
const SHORT_HOLD = 5;
/** What silence of a stream means where the server does not say how often it sends its heartbeat. */
export const SILENCE = 45_000;

/** The types of the events after which there is nothing more to come, which are the states of a job that is over too. */
const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

/** Server-Sent Events over `fetch`. */
export async function openStream(reading, signal) {
  const exchange = new Exchange(reading.sender("sse"), signal);
  const parser = new EventStreamParser();
  const begun = Date.now();
  let ahead;
  try {
    const url = reading.url("sse");
    await exchange.send(url, { headers: { accept: "text/event-stream" } }, PATIENCE);
    const { status, headers } = exchange.response;
    if (status === 204) return finished(exchange);
    if (status !== 200) throw await exchange.refusal();
    if (!headers.get("content-type")?.startsWith("text/event-stream")) throw new Lost("the answer is no event stream");
    ahead = Promise.resolve(await exchange.read(Math.max(0, begun + PATIENCE - Date.now())));
  } catch (error) {
    exchange.close();
    throw error;
  }

  let brought = false;
  /** What came, and nobody has asked for. */
  let items = [];
  const read = async () => {
    const bytes = await ahead;
    // What a caller has not asked for yet is lost when the connection breaks, so that a piece is always asked for.
    if (bytes !== null) ahead = exchange.read(reading.silence() ?? SILENCE);
    ahead.catch(() => {});
    // Only after a job's last event is the end of a stream its end. One that told nothing says when to come back.
    if (bytes === null) throw new Lost("the stream broke off", { retryAfter: brought ? null : parser.retry });
    items.push(...parser.push(bytes).map(itemOf));
    brought ||= items.length > 0;
  };
  const isOver = () => items.length > 0 && reading.endsWith(items.at(-1));
  const proven = async () => {
    await read();
    if (!isOver()) await read();
  };
  const next = async () => {
    while (items.length === 0) await read();
    const came = { items, over: isOver() };
    items = [];
    return came;
  };
  return { proven, next, close: () => exchange.close() };
}

/** What a block of a stream tells. */
export function itemOf({ type, data, id }) {
  let told;
  try {
    told = JSON.parse(data);
  } catch (cause) {
    throw new Lost("the stream is spoilt", { cause });
  }
  return type === "gap" ? { gap: told, cursor: id } : { event: told, cursor: id };
}

/** Whether nothing more comes after it: a job's last event, or a gap that this was lost in. */
export function isLast({ event, gap }) {
  if (gap === undefined) return TERMINAL.has(event.type);
  return TERMINAL.has(gap.job.state) && gap.resumed_at > gap.job.seq;
}

/** A source of a job that is over, and whose events have all been seen. */
function finished(exchange) {
  exchange.close();
  return { proven: async () => {}, next: async () => ({ items: [], over: true }), close: () => {} };
}

/** Long polling. The first request is not held, so that the page shows at once that there is a way. */
export function openLongPoll(reading, signal) {
  const held = (wait) => (signal) => reading.pages.ask(reading, signal, "long-poll", { wait }, wait * 1000 + SLACK);
  return openPoll(signal, { first: held(0), proof: held(SHORT_HOLD), further: held(HOLD) });
}

/** Short polling: asks again when the server says, or at the caller's interval. */
export function openShortPoll(reading, signal) {
  let previous;
  const ask = async (signal) => {
    if (previous !== undefined && !previous.more) {
      await sleep(reading.interval ?? previous.retryAfter ?? 1000, signal);
    }
    previous = await reading.pages.ask(reading, signal, "short-poll", {}, SLACK, previous?.etag);
    return previous;
  };
  return openPoll(signal, { first: ask, proof: ask, further: ask });
}

/** A source that asks for one page after the other. */
async function openPoll(signal, { first, proof, further }) {
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  /** What came, and nobody has asked for. */
  const pages = [await first(either)];
  const proven = async () => {
    if (!pages[0].over) pages.push(await proof(either));
  };
  const next = async () => {
    const { items, over } = pages.shift() ?? (await further(either));
    return { items, over };
  };
  return { proven, next, close: () => ending.abort() };
}
