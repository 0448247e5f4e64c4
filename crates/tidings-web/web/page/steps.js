/** The steps of a pipeline: which are done, how long each took, and where it is now. */

import { element, setText } from "./dom.js";
import { TERMINAL, duration } from "./format.js";

export class Steps {
  #list;
  #items;
  /** When each began, as its progress says; the last one is the end of all. */
  #begun = [];
  #ended = null;
  #outcome = null;

  /**
   * @param {HTMLElement} list an empty `<ol>`
   * @param {string[]} names
   */
  constructor(list, names) {
    this.#list = list;
    this.#items = names.map((name) => {
      const took = element("span", "took");
      const item = element("li", "step", element("span", "step-name", name), " ", took);
      return { item, took };
    });
    list.replaceChildren(...this.#items.map(({ item }) => item));
    list.hidden = names.length === 0;
  }

  /** Takes note of an event. */
  take({ type, data, time }) {
    if (type === "progress" && Number.isInteger(data.done)) this.#begun[data.done] ??= Date.parse(time);
    if (TERMINAL.has(type)) {
      this.#outcome = type;
      this.#ended = Date.parse(time);
    }
  }

  /** Shows how it stands. */
  draw() {
    const current = this.#begun.length - 1;
    this.#items.forEach(({ item, took }, index) => {
      const state = this.#state(index, current);
      item.dataset.state = state;
      if (state === "running") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      const begun = this.#begun[index];
      const ended = this.#begun[index + 1] ?? this.#ended;
      setText(took, begun !== undefined && ended ? duration(ended - begun) : state === "running" ? "running" : "");
    });
  }

  #state(index, current) {
    if (index < current || this.#outcome === "succeeded") return "succeeded";
    if (index > current) return "queued";
    return this.#outcome ?? "running";
  }
}
