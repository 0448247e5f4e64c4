/** `#/race/<id>`: one job over each transport at the same time. */

import { follow, get, submit } from "../tidings.js";
import { announce, perFrame, setText, showText, template } from "./dom.js";
import { fold } from "./fold.js";
import { TERMINAL, shortId, title } from "./format.js";
import { BrokerLane, Lane } from "./lane.js";
import { showNoJob } from "./missing.js";
import { BASE, jobUrl, transports } from "./server.js";
import { showState } from "./state.js";

/** In the order in which they stand: from the one that works everywhere to the one that is quickest. */
const LANES = ["short-poll", "long-poll", "sse"];
/** How often the broker's lag is asked for, in ms. */
const LAG = 1000;
const PLACES = ["first", "second", "third"];

export async function showRace(place, id) {
  const { signal, show } = place;
  const begun = Date.now();
  const job = await get(jobUrl(id), { signal }).catch((error) => signal.aborted || showNoJob(place, error));
  if (signal.aborted || !job?.id) return;
  const { content, parts } = template("race");
  const race = new Race(parts, job, begun, signal);
  show(content, `Race of ${title(job)}`);
  await Promise.all([race.run(), race.watchBroker()]);
}

class Race {
  #parts;
  #job;
  /** When the page was opened: what happened before is history, and says nothing of delay. */
  #begun;
  #signal;
  #lanes = [];
  #broker = new BrokerLane();
  #finished = 0;
  #draw;

  constructor(parts, job, begun, signal) {
    this.#parts = parts;
    this.#job = job;
    this.#begun = begun;
    this.#signal = signal;
    this.#draw = perFrame(() => this.#drawNow(), signal);
    this.#lanes = LANES.filter((name) => job.links[name]).map((name) => new Lane(name));
    parts.lanes.append(...this.#lanes.map((lane) => lane.node), this.#broker.node);
    parts["job-link"].href = `#/jobs/${job.id}`;
    setText(parts["job-link"], `${title(job)} ${shortId(job.id)}`);
    parts.again.addEventListener("click", () => this.#again());
    this.#drawNow();
  }

  /** Follows the job over all transports, until it is over on each. */
  async run() {
    await Promise.all(this.#lanes.map((lane) => this.#follow(lane)));
  }

  /** Shows how far behind the broker is, until the job is over and the broker has caught up. */
  async watchBroker() {
    const signal = this.#signal;
    while (!signal.aborted) {
      const all = await transports(AbortSignal.any([signal, AbortSignal.timeout(8 * LAG)])).catch(() => null);
      if (all) this.#broker.show(all);
      const lag = all?.find(({ status }) => status !== undefined)?.lag ?? 0;
      if (all && lag === 0 && TERMINAL.has(this.#job.state)) return;
      await new Promise((resolve) => setTimeout(resolve, LAG));
    }
  }

  async #follow(lane) {
    const options = {
      signal: this.#signal,
      transports: [lane.name],
      // The bytes of a native EventSource, and those of a connection that is shared, can't be told.
      shared: false,
      eventSource: "fetch",
      onTraffic: (traffic) => {
        lane.count(traffic);
        this.#draw();
      },
    };
    try {
      for await (const update of follow(jobUrl(this.#job.id), options)) {
        if (update.kind === "event") this.#take(lane, update.event);
      }
    } catch (error) {
      if (!this.#signal.aborted) lane.fail(error);
    }
  }

  #take(lane, event) {
    const happened = Date.parse(event.time);
    lane.take(happened >= this.#begun ? Date.now() - happened : null);
    this.#job = fold(this.#job, event);
    if (TERMINAL.has(event.type)) {
      // Who only read what was over before has run no race.
      if (happened >= this.#begun) lane.finish(PLACES[this.#finished]);
      this.#finished += 1;
      if (this.#finished === this.#lanes.length) announce(`The race of ${title(this.#job)} is over`);
    }
    this.#draw();
  }

  async #again() {
    const { again, error } = this.#parts;
    again.disabled = true;
    try {
      const { kind, input } = this.#job;
      const job = await submit(BASE, { kind, input }, { signal: this.#signal });
      location.hash = `#/race/${job.id}`;
    } catch (problem) {
      if (!this.#signal.aborted) showText(error, `It can't be started: ${problem.message}`);
    }
    again.disabled = false;
  }

  #drawNow() {
    showState(this.#parts.state, this.#job);
    const total = Math.max(this.#job.seq, ...this.#lanes.map((lane) => lane.events));
    // Nothing arrives before it happens: where it seems so, the clocks differ.
    const ahead = Math.max(0, -Math.min(0, ...this.#lanes.map((lane) => lane.best)));
    for (const lane of this.#lanes) lane.draw(total, ahead);
  }
}
