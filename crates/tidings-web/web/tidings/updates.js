// The stream of updates that a caller holds: iterated, or told to callbacks, or both.

/**
 * Notes what is sent and received.
 *
 * @typedef {(transport: string, requests: number, bytes: number) => void} Count
 */

/** An async iterable of updates. Nothing is asked for before the first of them is. */
export class Updates {
  #ending = new AbortController();
  /** The reader's own generator, once it has begun. */
  #inner = null;
  #begin;
  #options;
  #timer;
  /** Whether the caller has asked to end, which is no error. */
  #returned = false;

  /**
   * @param {object} options of `follow`
   * @param {(signal: AbortSignal, count: Count) => AsyncGenerator} read begins to read;
   *     all that it does ends with the signal
   */
  constructor(options, read) {
    this.#options = options;
    this.#begin = () => {
      const { signal, timeout } = options;
      signal?.addEventListener("abort", this.#forward);
      if (signal?.aborted) this.#forward();
      if (timeout !== undefined && timeout !== null) {
        const late = () => this.#end(new DOMException(`not over after ${timeout} ms`, "TimeoutError"));
        this.#timer = setTimeout(late, timeout);
      }
      return read(this.#ending.signal, this.#count());
    };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    if (this.#returned) return { done: true, value: undefined };
    try {
      this.#inner ??= this.#begin();
      this.#ending.signal.throwIfAborted();
      const { done, value } = await this.#inner.next();
      this.#ending.signal.throwIfAborted();
      if (done) this.#release();
      else this.#tell(value);
      return { done, value };
    } catch (error) {
      this.#end(error);
      if (this.#returned) return { done: true, value: undefined };
      throw error;
    }
  }

  /** Ends it, also in the middle of a `next()`: whatever is under way is cancelled. */
  async return(value) {
    this.#returned = true;
    this.#end(new DOMException("the iteration was ended", "AbortError"));
    return { done: true, value };
  }

  /** Reads to the end, for callers who are told by callbacks. Gives the last event that came. */
  async toEnd() {
    let last = null;
    for await (const update of this) {
      if (update.kind === "event") last = update.event;
    }
    return last;
  }

  #forward = () => this.#end(this.#options.signal.reason);

  #end(reason) {
    this.#release();
    this.#ending.abort(reason);
    // A generator that nobody asks any more would keep what it has open.
    this.#inner?.return().catch(() => {});
  }

  #release() {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.#forward);
  }

  #tell(update) {
    const { onEvent, onGap, onTransport } = this.#options;
    if (update.kind === "event") onEvent?.(update.event, update.transport);
    else if (update.kind === "gap") onGap?.(update.gap, update.transport);
    else onTransport?.(update.transport);
  }

  /** Adds up what is sent and received, and tells of it. */
  #count() {
    const { onTraffic } = this.#options;
    if (!onTraffic) return () => {};
    const total = { requests: 0, bytes: 0 };
    return (transport, requests, bytes) => {
      total.requests += requests;
      total.bytes += bytes;
      onTraffic({ ...total, transport });
    };
  }
}
