/** What is shown where there is nothing to show. */

import { setText, template } from "./dom.js";

/** Says that there is nothing at an address. */
export function showMissing({ main, retitle }, title, text) {
  const { content, parts } = template("missing");
  setText(parts.title, title);
  setText(parts.text, text);
  main.replaceChildren(content);
  retitle(title);
}

/** Says why a job can't be shown. */
export function showNoJob(view, error) {
  if (error.status === 404) {
    showMissing(view, "There is no such job", "The server keeps jobs for some time after their end, and then no more.");
  } else {
    showMissing(view, "The job can’t be had", error.message);
  }
}
