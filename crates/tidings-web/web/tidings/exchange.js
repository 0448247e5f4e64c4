// A request and its answer, every wait of which ends.

import { Cut, Lost, Silent, refusal } from "./failures.js";

/** How long an answer may say nothing in its middle, in milliseconds. */
const LULL = 15_000;

/**
 * What all requests of one reader share.
 *
 * @typedef {object} Sender
 * @property {typeof fetch} fetch
 * @property {(requests: number, bytes: number) => void} count what was sent and received
 */

/** A request under way. It must be closed, whatever becomes of it. */
export class Exchange {
  #controller = new AbortController();
  #parent;
  #forward = () => this.#controller.abort(this.#parent.reason);
  #sender;
  #reader = null;
  /** @type {Response} */
  response;

  /**
   * @param {Sender} sender
   * @param {AbortSignal} signal ends it
   */
  constructor(sender, signal) {
    this.#sender = sender;
    this.#parent = signal;
    signal.throwIfAborted();
    signal.addEventListener("abort", this.#forward);
  }

  /**
   * Sends the request, and waits for the head of the answer.
   *
   * @param {URL} url
   * @param {RequestInit & {headers?: Record<string, string>}} request
   * @param {number} patience milliseconds until it is taken for dead
   */
  async send(url, request, patience) {
    // Taken out of its object: a browser's fetch refuses to be called as the method of another one.
    const { fetch, count } = this.#sender;
    count(1, 0);
    const sent = fetch(url, { cache: "no-store", ...request, signal: this.#controller.signal });
    this.response = await this.#within(patience, sent, Lost);
  }

  /**
   * The next bytes of the body, or null at its end.
   *
   * @param {number} [patience] milliseconds until it is taken for dead
   * @returns {Promise<Uint8Array | null>}
   */
  async read(patience = LULL) {
    this.#reader ??= this.response.body?.getReader() ?? { read: async () => ({ done: true }) };
    const { done, value } = await this.#within(patience, this.#reader.read(), Cut);
    if (done) return null;
    this.#sender.count(0, value.length);
    return value;
  }

  /** The rest of the body. */
  async text() {
    const decoder = new TextDecoder();
    let text = "";
    for (let bytes = await this.read(); bytes !== null; bytes = await this.read()) {
      text += decoder.decode(bytes, { stream: true });
    }
    return text + decoder.decode();
  }

  /** The rest of the body as JSON. What is none was cut, since the server sends whole documents only. */
  async json() {
    const text = await this.text();
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Cut("the answer is not whole", { cause });
    }
  }

  /** What to throw for an answer that is not the one hoped for. */
  async refusal() {
    const { status, headers } = this.response;
    // The status says enough where the body breaks off.
    const body = await this.text().catch(() => "");
    this.#parent.throwIfAborted();
    return refusal(status, headers, body);
  }

  /** Ends it, wherever it stands. */
  close() {
    this.#parent.removeEventListener("abort", this.#forward);
    this.#controller.abort();
  }

  async #within(patience, promise, Failure) {
    const { signal } = this.#controller;
    const silent = () => this.#controller.abort(new Silent(`nothing came for ${patience / 1000} s`));
    const timer = setTimeout(silent, patience);
    let tell;
    // Node leaves the reading of a body that is aborted as it ends undecided, for ever.
    const aborted = new Promise((_, reject) => (tell = () => reject(signal.reason)));
    signal.addEventListener("abort", tell);
    if (signal.aborted) tell();
    try {
      return await Promise.race([promise, aborted]);
    } catch (cause) {
      throw signal.aborted ? signal.reason : new Failure("the connection broke", { cause });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", tell);
    }
  }
}
