/** The form that starts a job: a pipeline where the server has a list of them, else any kind with any input. */

import { submit } from "../tidings.js";
import { element, showText, template } from "./dom.js";
import { BASE, pipelines } from "./server.js";

/** Fills the form, and has it start jobs. */
export async function prepareForm(form, signal) {
  const fields = form.querySelector(".fields");
  const error = form.querySelector(".error");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(form, event.submitter?.value === "race" ? "race" : "jobs").catch((problem) => {
      showText(error, problem.message);
    });
  });
  const known = await pipelines().catch(() => null);
  if (signal.aborted) return;
  fields.replaceChildren(known ? pipelineFields(known) : template("kind-fields").content);
}

/** Submits what the form says, and goes to the job. */
async function start(form, view) {
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    showText(form.querySelector(".error"), "");
    const job = await submit(BASE, submission(form));
    location.hash = `#/${view}/${job.id}`;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function submission(form) {
  const { pipeline, kind, input } = form.elements;
  if (pipeline) return { kind: "pipeline", input: { pipeline: pipeline.value } };
  if (!kind.value) throw new Error("A job needs a kind.");
  try {
    return { kind: kind.value, input: JSON.parse(input.value) };
  } catch (error) {
    throw new Error(`The input is not JSON: ${error.message}`);
  }
}

function pipelineFields(known) {
  const { content } = template("pipeline-fields");
  const select = content.querySelector("select");
  const steps = content.querySelector(".path");
  select.append(...known.map(({ name }) => new Option(name)));
  const showSteps = () => {
    const chosen = known[select.selectedIndex]?.steps ?? [];
    steps.replaceChildren(...chosen.map((step) => element("li", "", step)));
  };
  select.addEventListener("change", showSteps);
  showSteps();
  return content;
}
