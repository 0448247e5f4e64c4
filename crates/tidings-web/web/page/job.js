/** `#/jobs/<id>`: one job with its progress, log and outcome. */

import { cancel, follow, get } from "../tidings.js";
import { announce, perFrame, perSecond, setText, showText, template } from "./dom.js";
import { fold } from "./fold.js";
import { TERMINAL, count, counted, doing, duration, json, time, title, took } from "./format.js";
import { Log } from "./log.js";
import { showNoJob } from "./missing.js";
import { jobUrl, pipelines } from "./server.js";
import { showBar, showState, stateOf } from "./state.js";
import { Steps } from "./steps.js";

/** What becomes no line of the log: it is shown elsewhere. */
const SHOWN_ELSEWHERE = new Set(["queued", "started", "progress", "cancelling", ...TERMINAL]);

export async function showJob(place, id) {
  const { signal, show } = place;
  let job;
  let known;
  try {
    [job, known] = await Promise.all([get(jobUrl(id), { signal }), pipelines().catch(() => null)]);
  } catch (error) {
    if (signal.aborted) return;
    return showNoJob(place, error);
  }
  if (signal.aborted) return;
  const steps = known?.find(({ name }) => name === job.input?.pipeline)?.steps ?? [];
  const { content, parts } = template("job");
  const view = new JobView(parts, job, steps, signal);
  show(content, title(job));
  await view.run();
}

class JobView {
  #parts;
  #job;
  #steps;
  #log;
  #signal;
  #draw;
  #told;

  constructor(parts, job, steps, signal) {
    this.#parts = parts;
    this.#job = job;
    this.#signal = signal;
    this.#steps = new Steps(parts.steps, steps);
    this.#log = new Log(parts.log, signal, (unseen) => this.#showEnd(unseen));
    this.#draw = perFrame(() => this.#drawNow(), signal);
    this.#told = stateOf(job);
    setText(parts.name, title(job));
    setText(parts.id, job.id);
    parts.race.href = `#/race/${job.id}`;
    parts.cancel.addEventListener("click", () => this.#cancel());
    parts["to-end"].addEventListener("click", () => this.#toEnd());
    perSecond(this.#draw, signal);
    this.#drawNow();
  }

  /** Follows the job to its end. */
  async run() {
    const signal = this.#signal;
    try {
      for await (const update of follow(jobUrl(this.#job.id), { signal })) this.#take(update);
    } catch (error) {
      if (!signal.aborted) showText(this.#parts.error, `The job can't be followed any further: ${error.message}`);
    }
  }

  #take(update) {
    if (update.kind === "transport") setText(this.#parts.transport, update.transport ?? "none answers");
    if (update.kind === "gap") this.#takeGap(update.gap);
    if (update.kind === "event") this.#takeEvent(update.event);
    this.#draw();
  }

  #takeEvent(event) {
    this.#job = fold(this.#job, event);
    this.#steps.take(event);
    const { type, data } = event;
    if (type === "log") {
      this.#log.add(data.line, data.stream);
      if (data.stream === "stderr") this.#parts.legend.hidden = false;
    } else if (!SHOWN_ELSEWHERE.has(type)) this.#log.add(`${type} ${JSON.stringify(data)}`, "note");
  }

  #takeGap({ requested, resumed_at, job }) {
    if (job.seq > this.#job.seq) this.#job = job;
    const [first, last] = [requested + 1, resumed_at - 1].map(count);
    this.#log.add(`events ${first} to ${last} are no longer kept`, "note");
  }

  async #cancel() {
    const { cancel: button, error } = this.#parts;
    button.disabled = true;
    try {
      await cancel(jobUrl(this.#job.id), "asked for on the page");
      showText(error, "");
    } catch (problem) {
      // It has ended meanwhile, which its events are about to tell.
      if (problem.status !== 409) showText(error, `It can't be cancelled: ${problem.message}`);
    }
    button.disabled = false;
  }

  #toEnd() {
    this.#log.toEnd();
    // The button is gone, and the focus with it.
    this.#parts.log.focus();
  }

  #showEnd(unseen) {
    const button = this.#parts["to-end"];
    button.hidden = unseen === null;
    if (unseen !== null) setText(button, unseen ? `Jump to the end · ${count(unseen)} new` : "Jump to the end");
  }

  #drawNow() {
    const job = this.#job;
    const parts = this.#parts;
    const isOver = TERMINAL.has(job.state);
    showState(parts.state, job);
    setText(parts.started, job.started_at ? time(job.started_at) : "not yet");
    const ms = took(job);
    setText(parts.took, ms === null ? "–" : isOver ? duration(ms) : `${Math.floor(Math.max(0, ms) / 1000)} s`);
    setText(parts.events, count(job.seq));
    setText(parts.lines, counted(this.#log.length, "line"));
    showBar(parts.bar, job);
    parts.bar.setAttribute("aria-valuetext", doing(job));
    // The steps say it better, and what a job said last is no news once it has ended well.
    showText(parts.doing, !parts.steps.hidden || job.state === "succeeded" || job.state === "failed" ? "" : doing(job));
    parts.cancel.hidden = isOver;
    parts.cancel.disabled = job.cancel_requested;
    this.#steps.draw();
    this.#drawOutcome(job);
    const state = stateOf(job);
    if (state !== this.#told) announce(`${title(job)} ${state}`);
    this.#told = state;
  }

  #drawOutcome({ state, result, error }) {
    const parts = this.#parts;
    if (state === "failed") {
      setText(parts["outcome-title"], `Failed: ${error?.code ?? "unknown"}`);
      setText(parts["outcome-text"], error?.message ?? "");
    } else if (state === "succeeded") {
      setText(parts["outcome-title"], "Result");
      setText(parts["outcome-text"], typeof result === "string" ? result : json(result));
    }
    parts.outcome.dataset.state = state;
    parts.outcome.hidden = state !== "failed" && !(state === "succeeded" && result !== null);
  }
}
