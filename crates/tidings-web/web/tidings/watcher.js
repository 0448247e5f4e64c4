// One tab's watching of all jobs, in the hub.

import { failure } from "./follower.js";

/** How many updates a tab may have that it has not taken. Above that nothing is sent to it until it joins again. */
const WINDOW = 1000;

/** The place in the whole log that a cursor of it names. */
export function positionOf(cursor) {
  if (cursor === "now") return Infinity;
  // What is no cursor has to be asked for too, since it is the server that says so.
  return Number.parseInt(cursor, 10) || 0;
}

export class Watcher {
  /** The last event that the tab was sent, or was known to have seen. */
  cursor;
  #tell;
  #rejoin;
  #ended;
  /** Whether it is sent what happens. */
  #isIn = false;
  #transport;
  /** Updates that the tab was sent and has not taken. */
  #untaken = 0;

  /**
   * @param {string | null} after
   * @param {(message: object) => void} tell the tab
   * @param {() => void} rejoin asks that the stream be opened again, from where the watchers are
   * @param {() => void} ended is called once it is over
   */
  constructor(after, tell, rejoin, ended) {
    this.cursor = after;
    this.#tell = tell;
    this.#rejoin = rejoin;
    this.#ended = ended;
  }

  /** Whether it is to be sent what it lacks. */
  get hasRoom() {
    return this.#untaken < WINDOW;
  }

  /** Whether it lacks nothing that came before this cursor. */
  isAt(cursor) {
    return positionOf(this.cursor) >= positionOf(cursor);
  }

  /** Says over what events come from now on: from where it is, or from before that. */
  begin(transport) {
    this.#isIn = transport !== null && this.hasRoom;
    if (transport !== this.#transport) this.#tell({ type: "transport", transport });
    this.#transport = transport;
  }

  /** Takes what has happened, if it is news. */
  deliver(update, cursor) {
    if (!this.#isIn || this.isAt(cursor)) return;
    this.#tell({ type: "updates", updates: [update], cursor });
    this.cursor = cursor;
    this.#untaken += 1;
    this.#isIn = this.hasRoom;
  }

  /** The tab has taken so many updates. */
  taken(count) {
    this.#untaken -= count;
    if (!this.#isIn && this.#transport !== null && this.#untaken < WINDOW / 2) this.#rejoin();
  }

  fail(error) {
    this.#tell(failure(error));
    this.end();
  }

  end() {
    this.#ended();
  }
}
