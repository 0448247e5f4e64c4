/** A job in the list. */

import { setText, template } from "./dom.js";
import { TERMINAL, doing, duration, fraction, shortId, time, took } from "./format.js";
import { showBar, showState } from "./state.js";

export class Row {
  #parts;

  constructor(job) {
    const { content, parts } = template("row");
    this.job = job;
    this.node = content.firstElementChild;
    this.#parts = parts;
    parts.link.href = `#/jobs/${job.id}`;
    // Lists come without inputs, so that a pipeline's name is not known of all.
    setText(parts.kind, job.kind);
    setText(parts.id, shortId(job.id));
    parts.when.dateTime = job.created_at;
    setText(parts.when, time(job.created_at));
    this.draw();
  }

  /** What a person calls the job. */
  get name() {
    return `${this.job.kind} ${shortId(this.job.id)}`;
  }

  focus() {
    this.#parts.link.focus();
  }

  /** Shows the job as it is now. */
  draw() {
    const { job } = this;
    const parts = this.#parts;
    const isOver = TERMINAL.has(job.state);
    showState(parts.state, job);
    showBar(parts.bar, job);
    parts.bar.hidden = job.state !== "running" || fraction(job) === null;
    setText(parts.doing, isOver && job.state !== "failed" ? "" : doing(job));
    const ms = took(job);
    setText(parts.took, ms === null ? "" : isOver ? duration(ms) : `${Math.floor(Math.max(0, ms) / 1000)} s`);
  }
}
