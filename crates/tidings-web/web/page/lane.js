/** One lane of the race: a transport, what it costs, and how late it is. */

import { element, setText, showText, template } from "./dom.js";
import { bytes, count, delay } from "./format.js";

/** What each transport does, for people who see its name for the first time. */
const ABOUT = {
  "short-poll": "Asks once a second what is new.",
  "long-poll": "Asks, and is held until something is new.",
  sse: "Asks once, and is sent events as they happen.",
};

/** The numbers that a lane shows. */
const NUMBERS = ["Events", "Requests", "Bytes", "Median delay", "Worst delay"];

export class Lane {
  node;
  #parts;
  #numbers;
  #traffic = { requests: 0, bytes: 0 };
  #events = 0;
  /** In the order of their size. */
  #delays = [];

  constructor(name) {
    this.name = name;
    const { content, parts } = template("lane");
    this.#parts = parts;
    setText(parts.name, name);
    setText(parts.about, ABOUT[name] ?? "");
    parts.bar.setAttribute("aria-label", `Events over ${name}`);
    this.#numbers = numbers(parts.numbers, NUMBERS);
    this.node = content.firstElementChild;
  }

  /** How many events have come. */
  get events() {
    return this.#events;
  }

  /** The shortest delay so far, or infinity. */
  get best() {
    return this.#delays[0] ?? Infinity;
  }

  /** Takes note of an event, and of how late it came where that tells anything. */
  take(late) {
    this.#events += 1;
    if (late !== null) insert(this.#delays, late);
  }

  /** Takes note of what was sent and received so far. */
  count(traffic) {
    this.#traffic = traffic;
  }

  finish(place) {
    setText(this.#parts.place, place);
  }

  fail(error) {
    showText(this.#parts.error, error.message);
  }

  /**
   * Shows how it stands.
   *
   * @param {number} total how many events there are
   * @param {number} ahead by how much this machine's clock may be behind the server's
   */
  draw(total, ahead) {
    const delays = this.#delays;
    const shown = (index) => (delays.length ? delay(delays[index] + ahead) : "–");
    const { requests, bytes: received } = this.#traffic;
    const texts = [
      count(this.#events), count(requests), bytes(received),
      shown(Math.floor((delays.length - 1) / 2)), shown(delays.length - 1),
    ];
    texts.forEach((text, index) => setText(this.#numbers[index], text));
    this.#parts.bar.value = total ? this.#events / total : 0;
  }
}

/** The lane of a message broker: its events do not come here, but the server says how far behind it is. */
export class BrokerLane {
  node;
  #parts;
  #numbers;

  constructor() {
    const { content, parts } = template("lane");
    this.#parts = parts;
    setText(parts.name, "amqp");
    parts.bar.remove();
    this.#numbers = numbers(parts.numbers, ["Status", "Lag"]);
    this.node = content.firstElementChild;
  }

  /** Shows what `GET /transports` says. */
  show(transports) {
    const broker = transports.find((transport) => transport.status !== undefined);
    this.#parts.numbers.hidden = !broker;
    this.node.classList.toggle("absent", !broker);
    if (!broker) {
      setText(this.#parts.about, "No broker is configured. A server that has one relays each event to a queue, too.");
      return;
    }
    setText(this.#parts.name, broker.name);
    setText(this.#parts.about, "Relays each event to a queue. The lag is what the broker has not confirmed yet.");
    setText(this.#numbers[0], broker.status);
    setText(this.#numbers[1], `${count(broker.lag)} events`);
  }
}

/** Fills a `<dl>`, and gives where its values go. */
function numbers(list, names) {
  const values = names.map(() => element("dd", "", "–"));
  list.append(...names.map((name, index) => element("div", "", element("dt", "", name), values[index])));
  return values;
}

/** Puts a number into a list that is in order. */
function insert(sorted, number) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= number) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, number);
}
