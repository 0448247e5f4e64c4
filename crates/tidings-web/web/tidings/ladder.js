// Picks the transport: the best one that works, the next one where it does not, and back up as soon as it does again.

import { Lost, NotOffered, Silent } from "./failures.js";
import { openNative } from "./native.js";
import { openLongPoll, openShortPoll, openStream } from "./sources.js";
import { pause, sleep } from "./wait.js";

/** How long to be content with a lesser transport before a better one is tried again, in milliseconds. */
const CONTENT = 20_000;
/** After so many failures in a row it may be this transport alone that fails, and the others are tried as well. */
const SEVERAL = 3;
/** A connection that lasted for so many milliseconds was a good one. */
const LASTING = 10_000;

const openSse = (reading, signal) => (reading.isNative ? openNative : openStream)(reading, signal);
const OPENERS = { sse: openSse, "long-poll": openLongPoll, "short-poll": openShortPoll };

/** The transports, the best one first. */
export const TRANSPORTS = Object.keys(OPENERS);

/** Reads over whichever transport works. */
export class Ladder {
  #reading;
  #signal;
  /** What is left of the transports to try, the best one first. */
  #names;
  /** Which of them is in use, or is tried first. */
  #rung = 0;
  /** Whether the source in use, or the last one, told anything new. */
  #brought = false;
  /** Whether no transport at all has worked when all were tried. */
  #isAway = false;
  /** How often in a row nothing came of it. */
  #failures = 0;
  /** Milliseconds that the server has asked to wait. */
  #retryAfter = 0;

  /**
   * @param {import("./reading.js").JobReading | import("./reading.js").LogReading} reading
   * @param {string[]} names of the transports, the first choice first
   * @param {AbortSignal} signal ends it
   */
  constructor(reading, names, signal) {
    const unknown = names.find((name) => !Object.hasOwn(OPENERS, name));
    if (unknown !== undefined || names.length === 0) throw new TypeError(`no transport is called ${unknown}`);
    this.#reading = reading;
    this.#names = [...names];
    this.#signal = signal;
  }

  /** What `follow` yields. */
  async *updates() {
    let told;
    let better = null;
    while (true) {
      // The better one that was found while a lesser one went on, or whichever works.
      const found = better ?? (await this.#reach());
      if (found === null) {
        if (this.#isAway && told !== null) yield { kind: "transport", transport: (told = null) };
        continue;
      }
      const { rung, source } = found;
      const [search, opened] = [this.#search(rung), Date.now()];
      const transport = this.#names[(this.#rung = rung)];
      better = null;
      try {
        if (transport !== told) yield { kind: "transport", transport: (told = transport) };
        while ((better = search.found) === null) {
          const came = await search.unlessFound(source.next());
          if (came === null) continue;
          for (const item of came.items) {
            const update = this.#reading.take(item);
            if (update === null) continue;
            this.#brought = true;
            this.#failures = 0;
            yield { ...update, transport };
          }
          if (came.over) return;
        }
      } catch (error) {
        this.#fall(error, Date.now() - opened);
      } finally {
        source.close();
        if (better === null) search.end();
      }
    }
  }

  /** Makes the most of the end of a source: what is tried next, and when. */
  #fall(error, lasted) {
    this.#forgive(error);
    if (error instanceof NotOffered) return;
    if (error instanceof Silent) this.#rung += 1;
    // A connection that held for a while was no failure, though nothing happened to the job.
    else if (!this.#brought) this.#failures = lasted < LASTING ? this.#failures + 1 : 1;
  }

  /**
   * Tries to open a transport, after a pause if need be. Null if there is none that works; what can't be mended is
   * thrown.
   */
  async #reach() {
    this.#brought = false;
    const wait = Math.max(this.#failures > 0 ? pause(this.#failures) : 0, this.#retryAfter);
    if (wait > 0) await sleep(wait, this.#signal);
    this.#retryAfter = 0;
    if (this.#failures >= SEVERAL) this.#rung = 0;
    while (this.#rung < this.#names.length) {
      try {
        return await this.#open(this.#rung, this.#signal);
      } catch (error) {
        this.#forgive(error);
        if (error instanceof NotOffered) continue;
        // What refuses one transport refuses the others too, as a rule. What is silent may be so for this one only.
        if (!(error instanceof Silent) && this.#failures < SEVERAL) break;
        this.#rung += 1;
      }
    }
    // Where all of them were tried, there is no reason to wait for more failures.
    this.#isAway = this.#rung >= this.#names.length;
    if (this.#isAway) this.#rung = 0;
    this.#failures += 1;
    return null;
  }

  /** Throws what another try would not mend, and notes what the others say. */
  #forgive(error) {
    this.#signal.throwIfAborted();
    if (error instanceof NotOffered) {
      this.#names.splice(this.#rung, 1);
      if (this.#names.length === 0) throw error.cause;
    } else if (error instanceof Lost) {
      this.#retryAfter = Math.max(this.#retryAfter, error.retryAfter ?? 0);
    } else {
      throw error;
    }
  }

  /** Looks for something better than what is in use, for as long as that is in use. */
  #search(rung) {
    return new Search(async (signal) => {
      if (rung === 0) return null;
      // Asked for now, so that it is known once a better one is silent.
      this.#reading.silence();
      while (true) {
        await sleep(CONTENT, signal);
        for (let better = 0; better < rung; better += 1) {
          // Whatever is wrong with it, there is another one that works.
          const found = await this.#prove(better, signal).catch(() => null);
          if (found !== null) return found;
        }
      }
    }, this.#signal);
  }

  /**
   * Opens a transport, and waits until more than the beginning of an answer has come over it: there are proxies that
   * hold back the rest. The one in use goes on meanwhile, and what both bring is taken once.
   */
  async #prove(rung, signal) {
    const found = await this.#open(rung, signal);
    try {
      await found.source.proven();
    } catch (error) {
      found.source.close();
      throw error;
    }
    return found;
  }

  async #open(rung, signal) {
    await this.#reading.anchor(signal);
    return { rung, source: await OPENERS[this.#names[rung]](this.#reading, signal) };
  }
}

/** A search for something better, beside what is in use. */
class Search {
  /** The better one, once there is one. */
  found = null;
  #ending = new AbortController();
  #tell = () => {};

  constructor(find, signal) {
    const told = (found) => {
      this.found = found;
      if (found !== null) this.#tell(null);
    };
    // It fails only where it is ended.
    find(AbortSignal.any([signal, this.#ending.signal])).then(told, () => {});
  }

  /** What a promise gives, or null if something better is found before. */
  unlessFound(promise) {
    return new Promise((resolve, reject) => {
      this.#tell = resolve;
      promise.then(resolve, reject);
    });
  }

  /** Ends it, with what was found. */
  end() {
    this.#ending.abort();
    this.found?.source.close();
  }
}
