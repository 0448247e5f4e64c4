// One tab's following of one job, in the hub.

import { Lost, NotOffered } from "./failures.js";
import { isLast } from "./sources.js";
import { JobReading } from "./reading.js";
import { pause, sleep } from "./wait.js";

/** How many events a tab may have that it has not taken. Above that nothing is sent to it, and it reads them later. */
const WINDOW = 1000;
/** How long a page of the history may take, in milliseconds. */
const PATIENCE = 10_000;

export class Follower {
  reading;
  #tell;
  #ended;
  #ending = new AbortController();
  /** Whether the history is being read, and whether something has happened meanwhile that it may not show. */
  #isReading = false;
  #again = false;
  /** Events that the tab was sent and has not taken. */
  #untaken = 0;
  /** Whether it lacks events that it had no room for. */
  #lacks = false;
  #transport;

  /**
   * @param {URL} job
   * @param {object} options
   * @param {(message: object) => void} tell the tab
   * @param {() => void} ended is called once it is over
   */
  constructor(job, options, tell, ended) {
    /** How far it is. */
    this.reading = new JobReading(job, options, () => {});
    this.#tell = tell;
    this.#ended = ended;
  }

  /** Says over what events come from now on, and reads what came before. */
  begin(transport) {
    if (transport !== this.#transport) this.#tell({ type: "transport", transport });
    this.#transport = transport;
    this.catchUp();
  }

  /** Takes what has just happened to the job. */
  deliver({ event, transport }) {
    if (this.#isReading) {
      this.#again = true;
    } else if (this.#untaken >= WINDOW) {
      this.#lacks = true;
    } else {
      try {
        this.#take([{ event, cursor: event.cursor }], transport);
      } catch (error) {
        if (!(error instanceof Lost)) throw error;
        this.catchUp();
      }
    }
  }

  /** The tab has taken so many events. */
  taken(count) {
    this.#untaken -= count;
    if (this.#lacks && this.#untaken < WINDOW / 2) this.catchUp();
  }

  /** Reads what it lacks. */
  async catchUp() {
    this.#again = true;
    if (this.#isReading) return;
    this.#isReading = true;
    for (let failures = 0; this.#again && !this.#ending.signal.aborted; ) {
      try {
        this.#again = false;
        await this.#readPages();
      } catch (error) {
        this.#again = true;
        if (!(error instanceof Lost)) this.#fail(error);
        failures += 1;
        const wait = Math.max(pause(failures), error.retryAfter ?? 0);
        await sleep(wait, this.#ending.signal).catch(() => {});
      }
    }
    this.#isReading = false;
  }

  /** Ends it. */
  end() {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#ended();
  }

  async #readPages() {
    for (let more = true; more; ) {
      this.#lacks = this.#untaken >= WINDOW;
      if (this.#lacks) return;
      const page = await this.reading.pages.ask(this.reading, this.#ending.signal, "short-poll", {}, PATIENCE);
      this.#take(page.items, "short-poll");
      if (page.over) this.#finish();
      more = page.more && !page.over;
    }
  }

  #take(items, transport) {
    if (this.#ending.signal.aborted) return;
    const updates = items.map((item) => this.reading.take(item)).filter((update) => update !== null);
    if (updates.length === 0) return;
    this.#untaken += updates.length;
    this.#tell({ type: "updates", updates: updates.map((update) => ({ ...update, transport })) });
    if (items.some(isLast)) this.#finish();
  }

  #finish() {
    if (this.#ending.signal.aborted) return;
    this.#tell({ type: "over" });
    this.end();
  }

  #fail(error) {
    if (this.#ending.signal.aborted) return;
    // Without short polls there is no history here. Over another transport the tab may read it by itself.
    this.#tell(error instanceof NotOffered ? { type: "absent" } : failure(error));
    this.end();
  }
}

/** The message that tells a tab of an error. Errors themselves lose what makes them ours on the way. */
export function failure({ message, status, problem, detail }) {
  return { type: "failed", message, status, problem, detail };
}
