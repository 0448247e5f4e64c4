// Server-Sent Events over the browser's own `EventSource`.
//
// It shows neither comments nor the first bytes nor any status, so it can't tell a stream on which nothing happens from
// one that is held back on the way. Whoever reads over it asks beside it, now and then, whether there is something that
// it should have told: that is why streams over `fetch` are what `follow` uses by default.

import { Lost, NotOffered, Silent } from "./failures.js";
import { PATIENCE, SILENCE, isLast, itemOf } from "./sources.js";

/** How long it may take to reconnect by itself, in milliseconds: the server asks it to wait for up to 3 s. */
const RECONNECT = 10_000;

/** Opens a stream; like those of `sources.js`, but that the head of the answer is all that can be waited for. */
export async function openNative(reading, signal) {
  const stream = new NativeStream(reading, signal);
  try {
    await stream.opened();
  } catch (error) {
    stream.close();
    throw error;
  }
  return stream;
}

class NativeStream {
  #reading;
  #signal;
  #source;
  /** Items that came, and that nobody has asked for. */
  #items = [];
  /** Tells whoever waits that something has changed. */
  #wake = () => {};

  constructor(reading, signal) {
    signal.throwIfAborted();
    this.#reading = reading;
    this.#signal = signal;
    const { count } = reading.sender("sse");
    count(1, 0);
    this.#source = new EventSource(reading.url("sse", { as: "message" }));
    const take = ({ type, data, lastEventId }) => {
      // Of the bytes only those of the data are shown.
      count(0, new TextEncoder().encode(data).length);
      this.#items.push(itemOf({ type, data, id: lastEventId }));
      this.#wake();
    };
    this.#source.onmessage = take;
    this.#source.addEventListener("gap", take);
    this.#source.onopen = this.#source.onerror = () => this.#wake();
    signal.addEventListener("abort", this.#aborted);
  }

  /** Waits until the server has answered. */
  async opened() {
    await this.#until(() => this.#source.readyState !== EventSource.CONNECTING, PATIENCE);
    if (this.#source.readyState === EventSource.CONNECTING) throw new Silent("the stream does not open");
  }

  /**
   * Waits until it has told something. Its heartbeats are not shown, so that there is no other proof; what the
   * transport in use brings meanwhile has to come over this one too.
   */
  async proven() {
    const { cursor } = this.#reading;
    while (this.#items.length === 0) {
      const wasAsFar = this.#reading.cursor === cursor;
      const isClosed = () => this.#source.readyState === EventSource.CLOSED;
      await this.#until(() => this.#items.length > 0 || isClosed(), PATIENCE);
      if (this.#items.length > 0) return;
      if (isClosed()) throw new Lost("the stream was refused");
      if (!wasAsFar) throw new Silent("the stream holds events back");
    }
  }

  async next() {
    const { CONNECTING, OPEN, CLOSED } = EventSource;
    // What should have come at once may be held back; later on there is no hurry.
    let patience = PATIENCE;
    while (this.#items.length === 0) {
      const state = this.#source.readyState;
      if (state === CLOSED) return this.#refused();
      const changed = () => this.#items.length > 0 || this.#source.readyState !== state;
      await this.#until(changed, state === OPEN ? patience : RECONNECT);
      if (changed()) continue;
      if (state === CONNECTING) throw new Lost("the stream does not come back");
      const { items, over } = await this.#ask();
      if (items.length > 0) {
        // It may be on its way just now.
        await this.#until(() => this.#items.length > 0, PATIENCE);
        if (this.#items.length === 0) throw new Silent("the stream holds events back");
      } else if (over) {
        return { items: [], over };
      }
      patience = this.#reading.silence() ?? SILENCE;
    }
    const items = this.#items.splice(0);
    return { items, over: items.some(isLast) };
  }

  close() {
    this.#signal.removeEventListener("abort", this.#aborted);
    this.#source.close();
    this.#wake();
  }

  #aborted = () => this.close();

  /** It has given up: for a status that it does not tell, or since there is nothing more to come. */
  async #refused() {
    const { over } = await this.#ask();
    if (over) return { items: [], over };
    throw new Lost("the stream was refused");
  }

  /** What comes after the last event that was taken. */
  async #ask() {
    try {
      return await this.#reading.pages.ask(this.#reading, this.#signal, "short-poll", {}, PATIENCE);
    } catch (error) {
      if (!(error instanceof NotOffered)) throw error;
      return { items: [], over: false };
    }
  }

  /** Waits for a condition, for so many milliseconds at most. */
  #until(condition, milliseconds) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#signal.aborted) reject(this.#signal.reason);
        else if (condition()) resolve();
        else return;
        clearTimeout(timer);
        this.#wake = () => {};
      };
      const timer = setTimeout(() => {
        this.#wake = () => {};
        resolve();
      }, milliseconds);
      this.#wake = look;
      look();
    });
  }
}
