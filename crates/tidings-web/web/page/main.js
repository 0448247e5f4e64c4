/** The page: which view is shown at which address. */

import { setText } from "./dom.js";
import { time } from "./format.js";
import { showHome } from "./home.js";
import { showJob } from "./job.js";
import { showMissing } from "./missing.js";
import { showRace } from "./race.js";
import { watchServer } from "./server.js";

/**
 * Each view fills what it is given, and stops all it does at its signal. It tells its title whenever it has another.
 *
 * @type {[RegExp, (view: { main: HTMLElement, signal: AbortSignal, retitle: (title: string) => void },
 *     id?: string) => void][]}
 */
const ROUTES = [
  [/^(?:#\/?)?$/, showHome],
  [/^#\/jobs\/([^/]+)$/, showJob],
  [/^#\/race\/([^/]+)$/, showRace],
];

const main = document.getElementById("main");
let leave = new AbortController();

function route() {
  leave.abort();
  leave = new AbortController();
  main.replaceChildren();
  const view = { main, signal: leave.signal, retitle: (title) => (document.title = `${title} · Tidings`) };
  for (const [pattern, show] of ROUTES) {
    const match = pattern.exec(location.hash);
    if (match) return show(view, match[1]);
  }
  showMissing(view, "There is no such page", "Nothing of this page has that address.");
}

// The first page is read from its beginning; from then on, the heading is where a reader goes on.
window.addEventListener("hashchange", () => {
  route();
  window.scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
});

// The link's address would be taken for that of a view.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

const server = document.querySelector(".server");
watchServer((isThere, since) => {
  server.dataset.state = isThere ? "there" : "away";
  setText(server, isThere ? "Connected" : `No answer from the server since ${time(since)}. Trying again.`);
});

route();
