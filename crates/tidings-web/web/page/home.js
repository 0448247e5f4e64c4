/** `#/`: start a job, and all jobs as they go, newest first. */

import { followAll, list } from "../tidings.js";
import { announce, perFrame, perSecond, showText, template } from "./dom.js";
import { begun, fold } from "./fold.js";
import { TERMINAL } from "./format.js";
import { Row } from "./row.js";
import { BASE } from "./server.js";
import { prepareForm } from "./submit.js";

/** How many rows there are before new ones push out the oldest. Whoever asks for older ones gets more. */
const ROWS = 50;

export function showHome({ signal, show }) {
  const { content } = template("home");
  prepareForm(content.querySelector(".submit"), signal);
  const jobs = new JobList(content.querySelector(".jobs"), signal);
  show(content, "Jobs");
  jobs.run();
}

class JobList {
  #rows;
  #empty;
  #error;
  #older;
  #signal;
  /** By id, oldest first. */
  #jobs = new Map();
  /** Those whose row does not show them as they are. */
  #changed = new Set();
  #limit = ROWS;
  #next = null;
  #draw;

  constructor(section, signal) {
    this.#rows = section.querySelector(".rows");
    this.#empty = section.querySelector(".empty");
    this.#error = section.querySelector(".error");
    this.#older = section.querySelector(".older");
    this.#signal = signal;
    this.#draw = perFrame(() => this.#drawNow(), signal);
    this.#older.addEventListener("click", () => this.#showOlder());
    perSecond(() => this.#tick(), signal);
  }

  /** Shows the jobs that there are, and from there on what happens to them. */
  async run() {
    const signal = this.#signal;
    while (!signal.aborted) {
      try {
        const { jobs, cursor, next } = await list(BASE, { limit: ROWS }, { signal });
        showText(this.#error, "");
        this.#replace(jobs, next);
        for await (const update of followAll(BASE, { after: cursor, signal })) {
          // What is not kept any more would have to be guessed.
          if (update.kind === "gap") break;
          if (update.kind === "event") this.#take(update.event);
        }
      } catch (error) {
        if (signal.aborted) return;
        // A server that was started anew knows nothing of the old one's cursors, and one that is away comes back.
        if (!this.#jobs.size) showText(this.#error, `The list can't be had: ${error.message}. Trying again.`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** Takes over a new list, and leaves the rows that stay where they are: one of them may have the focus. */
  #replace(jobs, next) {
    const ids = new Set(jobs.map(({ id }) => id));
    for (const [id, row] of this.#jobs) if (!ids.has(id)) this.#drop(id, row);
    for (const job of jobs.toReversed()) {
      const row = this.#jobs.get(job.id) ?? this.#add(job);
      row.job = job;
      row.draw();
    }
    this.#next = next;
    this.#limit = ROWS;
    this.#showRest();
  }

  #add(job) {
    const row = new Row(job);
    this.#jobs.set(job.id, row);
    this.#rows.prepend(row.node);
    return row;
  }

  #take(event) {
    let row = this.#jobs.get(event.job);
    if (!row) {
      // The rest of a job that is not shown: the list was longer.
      if (event.type !== "queued") return;
      row = this.#add(begun(event));
      announce(`New job: ${row.name}`);
      this.#trim();
      this.#showRest();
    }
    row.job = fold(row.job, event);
    if (TERMINAL.has(event.type)) announce(`${row.name} ${event.type}`);
    this.#changed.add(row);
    this.#draw();
  }

  #trim() {
    for (const [id, row] of this.#jobs) {
      if (this.#jobs.size <= this.#limit) return;
      this.#drop(id, row);
    }
  }

  #drop(id, row) {
    this.#jobs.delete(id);
    this.#changed.delete(row);
    row.node.remove();
  }

  async #showOlder() {
    this.#older.disabled = true;
    try {
      const { jobs, next } = await list(BASE, { limit: ROWS, page: this.#next }, { signal: this.#signal });
      const older = jobs.filter((job) => !this.#jobs.has(job.id)).map((job) => new Row(job));
      this.#limit += older.length;
      this.#next = next;
      this.#jobs = new Map([...older.toReversed().map((row) => [row.job.id, row]), ...this.#jobs]);
      this.#rows.append(...older.map((row) => row.node));
      for (const row of older) row.draw();
      older[0]?.focus();
    } catch (error) {
      if (!this.#signal.aborted) showText(this.#error, `Older jobs can't be had: ${error.message}`);
    }
    this.#older.disabled = false;
    this.#showRest();
  }

  #showRest() {
    this.#empty.hidden = this.#jobs.size > 0;
    this.#older.hidden = !this.#next;
  }

  #drawNow() {
    for (const row of this.#changed) row.draw();
    this.#changed.clear();
  }

  #tick() {
    for (const row of this.#jobs.values()) if (!TERMINAL.has(row.job.state)) row.draw();
  }
}
