// Pages of events, as short and long polling have them.

import { Exchange } from "./exchange.js";
import { Cut, retryAfter } from "./failures.js";

/** The most events of a page: what a server allows, and gives by itself. */
const LIMIT = 1000;
/** After so many whole pages the next one may be twice as long again. */
const TRUST = 4;

/** Asks for pages that are as long as the way allows: one that was cut is asked for again with half its limit. */
export class Pages {
  #limit = LIMIT;
  /** How many whole pages have come since the limit was changed. */
  #whole = 0;

  /**
   * The next page.
   *
   * @param {import("./reading.js").JobReading} reading
   * @param {AbortSignal} signal
   * @param {string} transport
   * @param {object} parameters of the query, beside cursor and limit
   * @param {number} patience milliseconds until it is taken for dead
   * @param {string | null} [etag] of the page before: there may be nothing new
   * @returns {Promise<{items: object[], over: boolean, more: boolean, etag: string | null, retryAfter: number | null}>}
   */
  async ask(reading, signal, transport, parameters, patience, etag) {
    for (;;) {
      const exchange = new Exchange(reading.sender(transport), signal);
      try {
        const url = reading.url(transport, { ...parameters, limit: this.#limit });
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
    const items = events.map((event) => ({ event, cursor: event.cursor }));
    // The cursor before the first event is not told, and not needed: the events come with the gap.
    if (gap !== null) items.unshift({ gap: { ...gap, job }, cursor });
    return { ...about, items, over: done, more };
  }
}
