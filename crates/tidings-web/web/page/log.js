/** The log of a job: as many lines as one likes, of which only those in sight are in the document. */

import { element, perFrame } from "./dom.js";
import { plain } from "./plain.js";

/** The height of a line in CSS pixels; `page.css` says the same. */
const LINE = 20;
/** Lines above and below those in sight, so that scrolling by a little shows no empty place. */
const MORE = 12;
/** Lines that are kept. Browsers draw nothing below 17,895,697 pixels (Firefox; Chromium 33,554,431). */
const KEPT = 800_000;

/** Shows lines in a scrollable element, and stays at the end for as long as nobody scrolls up. */
export class Log {
  #view;
  #sizer = element("div", "sizer");
  #rows = element("div", "lines-in-sight");
  /** What is kept: text and stream. */
  #lines = [];
  /** How many lines there were before the first that is kept. */
  #dropped = 0;
  #isAtEnd = true;
  #lastTop = 0;
  #drawn = { from: -1, to: -1, total: -1 };
  #seen = 0;
  #draw;
  #moved;

  /**
   * @param {HTMLElement} view
   * @param {AbortSignal} signal
   * @param {(unseen: number | null) => void} moved told how many lines have come below since one scrolled up; null at
   *     the end
   */
  constructor(view, signal, moved) {
    this.#view = view;
    this.#moved = moved;
    this.#draw = perFrame(() => this.#drawNow(), signal);
    this.#rows.setAttribute("role", "list");
    this.#sizer.append(this.#rows);
    view.append(this.#sizer);
    view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    view.addEventListener("keydown", (event) => {
      // A browser scrolls to where the end was when the key was pressed, and more comes meanwhile.
      if (event.key !== "End" || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      event.preventDefault();
      this.toEnd();
    });
    const resized = new ResizeObserver(() => this.#draw());
    resized.observe(view);
    signal.addEventListener("abort", () => resized.disconnect());
  }

  /** How many lines there have been. */
  get length() {
    return this.#dropped + this.#lines.length;
  }

  /** Adds a line at the end. `stream` is where it came from: `stdout`, `stderr`, or `note` for what is no output. */
  add(text, stream) {
    this.#lines.push({ text, stream });
    if (this.#lines.length > KEPT) {
      const tenth = this.#lines.splice(0, KEPT / 10).length;
      this.#dropped += tenth;
      // What one reads stays where it is.
      if (!this.#isAtEnd) this.#view.scrollTop -= tenth * LINE;
    }
    this.#draw();
  }

  /** Goes to the end, and stays there. */
  toEnd() {
    this.#isAtEnd = true;
    this.#drawNow();
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#view;
    const wasAtEnd = this.#isAtEnd;
    // The end runs away from those who are at it while lines come; only who goes up wants to leave it.
    if (scrollTop + clientHeight >= scrollHeight - LINE) this.#isAtEnd = true;
    else if (scrollTop < this.#lastTop) this.#isAtEnd = false;
    this.#lastTop = scrollTop;
    if (wasAtEnd && !this.#isAtEnd) this.#seen = this.length;
    this.#draw();
  }

  #drawNow() {
    const total = this.#lines.length;
    if (total !== this.#drawn.total) this.#sizer.style.height = `${total * LINE}px`;
    if (this.#isAtEnd) this.#view.scrollTop = total * LINE;
    this.#lastTop = this.#view.scrollTop;
    const from = Math.max(0, Math.floor(this.#lastTop / LINE) - MORE);
    const to = Math.min(total, Math.ceil((this.#lastTop + this.#view.clientHeight) / LINE) + MORE);
    const { from: oldFrom, to: oldTo, dropped } = this.#drawn;
    if (from !== oldFrom || to !== oldTo || dropped !== this.#dropped) this.#fill(from, to);
    this.#drawn = { from, to, total, dropped: this.#dropped };
    this.#moved(this.#isAtEnd ? null : this.length - this.#seen);
  }

  /** Puts the lines of a range into the rows there are, and as many more or fewer as it takes. */
  #fill(from, to) {
    const rows = this.#rows;
    while (rows.childElementCount > to - from) rows.lastElementChild.remove();
    while (rows.childElementCount < to - from) rows.append(row());
    rows.style.transform = `translateY(${from * LINE}px)`;
    let index = from;
    for (const node of rows.children) {
      const { text, stream } = this.#lines[index];
      const number = this.#dropped + index + 1;
      node.dataset.stream = stream;
      node.setAttribute("aria-posinset", number);
      // Of how many is not known while they come.
      node.setAttribute("aria-setsize", -1);
      node.firstElementChild.textContent = number;
      node.lastElementChild.textContent = plain(text);
      index += 1;
    }
  }
}

function row() {
  const made = element("div", "line", element("span", "number"), element("span", "text"));
  made.setAttribute("role", "listitem");
  return made;
}
