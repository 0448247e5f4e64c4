/** The page: which view is shown at which address. */

import { setText } from "./dom.js";
import { time } from "./format.js";
import { showHome } from "./home.js";
import { showJob } from "./job.js";
import { showMissing } from "./missing.js";
import { showRace } from "./race.js";
import { watchServer } from "./server.js";

/**
 * Where a view puts what it shows. It stops all it does at the signal, which comes when another view is gone to.
 *
 * @typedef {object} Place
 * @property {AbortSignal} signal
 * @property {(content: Node, title: string) => void} show
 */

/** @type {[RegExp, (place: Place, id?: string) => void][]} */
const ROUTES = [
  [/^(?:#\/?)?$/, showHome],
  [/^#\/jobs\/([\w-]+)$/, showJob],
  [/^#\/race\/([\w-]+)$/, showRace],
];

const main = document.getElementById("main");
let leave = new AbortController();

/** Shows what is at the address. The first page is read from its beginning, the next ones from their heading. */
function route({ isFirst }) {
  leave.abort();
  leave = new AbortController();
  main.replaceChildren();
  const { signal } = leave;
  const show = (content, title) => {
    main.replaceChildren(content);
    document.title = `${title} · Tidings`;
    if (isFirst) return;
    window.scrollTo(0, 0);
    main.querySelector("h1").focus({ preventScroll: true });
  };
  for (const [pattern, view] of ROUTES) {
    const match = pattern.exec(location.hash);
    if (match) return view({ signal, show }, match[1]);
  }
  showMissing({ signal, show }, "There is no such page", "Nothing of this page has that address.");
}

window.addEventListener("hashchange", () => route({ isFirst: false }));

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

route({ isFirst: true });
