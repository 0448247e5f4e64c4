// One way each to read a job's events: what is asked, and what an answer means. `ladder.js` picks among them.
//
// A source is open once it has proven itself: with the first bytes of a stream, or with a page. From then on `next()` gives
// `{items, over}`: what came, and whether that was all. An item is an event as the server tells it, or a `Gap`.

import { Exchange } from "./exchange.js";
import { Cut, Lost, retryAfter } from "./failures.js";
import { EventStreamParser } from "./event-stream.js";
import { sleep } from "./wait.js";

/** How long a request may take until something comes of it, in milliseconds. Servers tell streams something at once. */
export const PATIENCE = 5000;
/** What a held request is given above its hold. */
const SLACK = 10_000;
/** How long the server is asked to hold a request, in seconds. */
const HOLD = 25;
/** The most events of a page: what a server allows, and asks for by itself. */
const LIMIT = 1000;
/** So many whole pages, and the next one may be twice as long again. */
const TRUST = 4;
/** What silence of a stream means where the server does not say how often it sends its heartbeat. */
const SILENCE = 45_000;

/** The types of the events after which there is nothing more to come. */
const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

/** Events that are no longer kept. */
export class Gap {
  /**
   * @param {{requested: number, resumed_at: number, job: object}} gap
   * @param {string} cursor of the last event that is no longer kept
   */
  constructor(gap, cursor) {
    this.gap = gap;
    this.cursor = cursor;
  }
}

/**
 * A reader of one job: which one, how far it is, and what its requests share.
 *
 * @typedef {object} Reading
 * @property {(path: string, parameters?: object) => URL} url below the job
 * @property {string | null} cursor the last event taken
 * @property {(transport: string) => import("./exchange.js").Sender} sender
 * @property {number | null} interval milliseconds between short polls, where the caller has a wish
 * @property {() => number | null} silence milliseconds between two heartbeats of a stream, where that is known
 * @property {Pages} pages
 */

/** Server-Sent Events over `fetch`. */
export async function openStream(reading, signal) {
  const exchange = new Exchange(reading.sender("sse"), signal);
  const parser = new EventStreamParser();
  const begun = Date.now();
  let first;
  try {
    const url = reading.url("/sse", { after: reading.cursor });
    await exchange.send(url, { headers: { accept: "text/event-stream" } }, PATIENCE);
    const { status, headers } = exchange.response;
    if (status === 204) return finished(exchange);
    if (status !== 200) throw await exchange.refusal();
    if (!headers.get("content-type")?.startsWith("text/event-stream")) throw new Lost("the answer is no event stream");
    first = await exchange.read(Math.max(0, begun + PATIENCE - Date.now()));
  } catch (error) {
    exchange.close();
    throw error;
  }

  let brought = false;
  const next = async () => {
    for (;;) {
      const bytes = first !== undefined ? first : await exchange.read(reading.silence() ?? SILENCE);
      first = undefined;
      // Only after a job's last event is the end of a stream its end. One that told nothing says when to come back.
      if (bytes === null) throw new Lost("the stream broke off", { retryAfter: brought ? null : parser.retry });
      const items = parser.push(bytes).map(itemOf);
      if (items.length > 0) {
        brought = true;
        return { items, over: items.some(isLast) };
      }
    }
  };
  return { next, close: () => exchange.close() };
}

function itemOf({ type, data, id }) {
  let told;
  try {
    told = JSON.parse(data);
  } catch (cause) {
    throw new Lost("the stream is spoilt", { cause });
  }
  return type === "gap" ? new Gap(told, id) : told;
}

function isLast(item) {
  return !(item instanceof Gap) && TERMINAL.has(item.type);
}

/** A source of a job that is over, and whose events have all been seen. */
function finished(exchange) {
  exchange.close();
  return { next: async () => ({ items: [], over: true }), close: () => {} };
}

/** Long polling. The first request is not held, so that the page proves at once that there is a way. */
export async function openLongPoll(reading, signal) {
  let wait = 0;
  const ask = async () => {
    const page = await reading.pages.ask(reading, signal, "long-poll", { wait }, wait * 1000 + SLACK);
    wait = HOLD;
    return page;
  };
  return opened(await ask(), ask);
}

/** Short polling: asks again when the server says, or at the caller's interval. */
export async function openShortPoll(reading, signal) {
  let previous;
  const ask = async () => {
    if (previous !== undefined && !previous.more) {
      await sleep(reading.interval ?? previous.retryAfter ?? 1000, signal);
    }
    previous = await reading.pages.ask(reading, signal, "short-poll", {}, SLACK, previous?.etag);
    return previous;
  };
  return opened(await ask(), ask);
}

function opened(page, ask) {
  const next = async () => {
    const { items, over } = page ?? (await ask());
    page = undefined;
    return { items, over };
  };
  return { next, close: () => {} };
}

/** Asks for pages that are as long as the way allows: one that was cut is asked for again with half its limit. */
export class Pages {
  #limit = LIMIT;
  /** How many whole pages have come since the limit was changed. */
  #whole = 0;

  async ask(reading, signal, transport, parameters, patience, etag) {
    for (;;) {
      const exchange = new Exchange(reading.sender(transport), signal);
      try {
        const url = reading.url(`/${transport}`, { ...parameters, after: reading.cursor, limit: this.#limit });
        const headers = { accept: "application/json", ...(etag && { "if-none-match": etag }) };
        await exchange.send(url, { headers }, patience);
        return await this.#read(exchange);
      } catch (error) {
        if (!(error instanceof Cut) || this.#limit === 1) throw error;
        this.#limit = Math.floor(this.#limit / 2);
        this.#whole = 0;
      } finally {
        exchange.close();
      }
    }
  }

  async #read(exchange) {
    const { status, headers } = exchange.response;
    const about = { etag: headers.get("etag"), retryAfter: retryAfter(headers) };
    if (status === 304) return { ...about, items: [], over: false, more: false };
    if (status !== 200) throw await exchange.refusal();
    const { events, gap, job, cursor, more, done } = await exchange.json();
    if (this.#limit < LIMIT && ++this.#whole === TRUST) {
      this.#limit = Math.min(LIMIT, this.#limit * 2);
      this.#whole = 0;
    }
    // The cursor before the first event is not told, and not needed: the events come with the gap.
    const items = gap === null ? events : [new Gap({ ...gap, job }, cursor), ...events];
    return { ...about, items, over: done, more };
  }
}
