/** What is shown where there is nothing to show. */

import { setText, template } from "./dom.js";

/** Says that there is nothing at an address. */
export function showMissing({ show }, title, text) {
  const { content, parts } = template("missing");
  setText(parts.title, title);
  setText(parts.text, text);
  show(content, title);
}

/** Says why a job can't be shown. */
export function showNoJob(place, error) {
  if (error.status === 404) {
    showMissing(place, "There is no such job", "The server keeps jobs for a while after their end.");
  } else {
    showMissing(place, "The job can’t be had", error.message);
  }
}
