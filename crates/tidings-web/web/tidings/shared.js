// A tab's side of the hub: what it follows is read by one SharedWorker for all tabs of the origin.

import { ProblemError } from "./failures.js";
import { BEAT } from "./heartbeat.js";

/** How long a worker may take to say that it is there, in milliseconds: when busy it has a dozen files to load. */
const PATIENCE = 10_000;
/** After so many milliseconds without a word from a worker it is taken for dead. It sends three heartbeats in this. */
const SILENCE = 3 * BEAT;

/** By the server's address. @type {Map<string, Connection>} */
const connections = new Map();

/**
 * Reads over the hub, or by itself where there can't be one.
 *
 * @param {URL} base of the server
 * @param {{type: "follow" | "watch", job?: string}} wish
 * @param {string | null} after
 * @param {AbortSignal} signal
 * @param {(after: string | null) => AsyncGenerator} alone reads without a hub
 */
export async function* readShared(base, wish, after, signal, alone) {
  let told;
  while (true) {
    const line = Connection.to(base).open({ ...wish, after }, signal);
    try {
      for (let message = await line.next(); message.type !== "lost"; message = await line.next()) {
        if (message.type === "absent") return yield* alone(after);
        if (message.type === "over") return;
        if (message.type === "failed") throw thrown(message);
        if (message.type === "transport") {
          if (message.transport !== told) yield { kind: "transport", transport: (told = message.transport) };
          continue;
        }
        for (const update of message.updates) {
          after = message.cursor ?? update.event?.cursor ?? after;
          yield update;
        }
        line.taken(message.updates.length);
      }
    } finally {
      line.end();
    }
  }
}

function thrown({ message, status, problem, detail }) {
  return status === undefined ? new Error(message) : new ProblemError(status, problem, detail);
}

/** A connection to the hub of one server. */
class Connection {
  #base;
  #port = null;
  /** By number. @type {Map<number, Line>} */
  #lines = new Map();
  #count = 0;
  #timer = null;

  static to(base) {
    if (!connections.has(base.href)) connections.set(base.href, new Connection(base));
    return connections.get(base.href);
  }

  constructor(base) {
    this.#base = base;
    this.#connect();
    globalThis.addEventListener?.("pagehide", () => this.#leave());
    // A page that comes back from the browser's cache goes on where it was.
    globalThis.addEventListener?.("pageshow", ({ persisted }) => {
      if (persisted) this.#reconnect();
    });
  }

  open(wish, signal) {
    const id = (this.#count += 1);
    const line = new Line(signal, {
      taken: (count) => this.#send({ type: "taken", id, count }),
      end: () => {
        this.#lines.delete(id);
        this.#send({ type: "end", id });
      },
    });
    this.#lines.set(id, line);
    if (this.#port === null) line.take({ type: "absent" });
    else this.#send({ ...wish, id });
    return line;
  }

  #connect() {
    const absent = () => {
      this.#leave();
      this.#tellAll({ type: "absent" });
    };
    try {
      const script = new URL("./worker.js", import.meta.url);
      const worker = new SharedWorker(script, { type: "module", name: this.#base.href });
      worker.onerror = () => {
        if (this.#port === worker.port) absent();
      };
      this.#port = worker.port;
    } catch {
      return absent();
    }
    this.#timer = setTimeout(absent, PATIENCE);
    this.#port.onmessage = ({ data }) => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#reconnect(), SILENCE);
      this.#lines.get(data.id)?.take(data);
    };
    this.#hold();
  }

  /** Leaves a worker that may be dead, and takes the one that there is now. */
  #reconnect() {
    this.#leave();
    this.#connect();
    this.#tellAll({ type: "lost" });
  }

  /** Lets a worker that is only late, or slow, know that nothing is wanted of it any more. */
  #leave() {
    clearTimeout(this.#timer);
    this.#send({ type: "bye" });
    this.#port?.close();
    this.#port = null;
  }

  /** Holds a lock for as long as the page lives, so that the hub notices its end however that comes. */
  #hold() {
    const lock = `tidings ${Math.random().toString(36).slice(2)}`;
    const port = this.#port;
    globalThis.navigator?.locks?.request(lock, () => {
      port.postMessage({ type: "alive", lock });
      return new Promise(() => {});
    });
  }

  #send(message) {
    this.#port?.postMessage(message);
  }

  #tellAll(message) {
    for (const line of this.#lines.values()) line.take(message);
  }
}

/** What comes for one reader, in order. */
class Line {
  #messages = [];
  #wake = () => {};
  #signal;
  #ways;

  constructor(signal, ways) {
    this.#signal = signal;
    this.#ways = ways;
    signal.addEventListener("abort", this.#aborted);
  }

  take(message) {
    this.#messages.push(message);
    this.#wake();
  }

  async next() {
    while (true) {
      this.#signal.throwIfAborted();
      if (this.#messages.length > 0) return this.#messages.shift();
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  /** Says how much of it the reader has taken. */
  taken(count) {
    this.#ways.taken(count);
  }

  end() {
    this.#signal.removeEventListener("abort", this.#aborted);
    this.#ways.end();
  }

  #aborted = () => this.#wake();
}
