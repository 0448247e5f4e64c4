// The format text/event-stream, as the WHATWG HTML standard parses it (9.2.6, "Interpreting an event stream").

import { Lost } from "./failures.js";

/** More than any event has, and little enough to keep: a stream without line ends must not fill the memory. */
const LONGEST = 8 * 1024 * 1024;

/** Turns the bytes of one event stream into messages, however they are cut. */
export class EventStreamParser {
  /** The reconnection time that the stream has set, in milliseconds. */
  retry = null;
  /** The id of the last block that was ended. It stays until another one comes. */
  lastEventId = "";

  // It drops a byte order mark at the very beginning, and puts U+FFFD in place of what is no UTF-8.
  #decoder = new TextDecoder();
  /** The line that has not ended yet. */
  #line = "";
  /** Whether the last character was a CR: a LF after it belongs to the same line end. */
  #afterReturn = false;
  #data = "";
  #type = "";
  #id = "";

  /**
   * @param {Uint8Array} bytes what came next
   * @returns {{type: string, data: string, id: string}[]} the messages that end in it
   */
  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text === "" ? false : text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    const messages = [];
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    for (const line of lines) {
      const message = this.#take(line);
      if (message !== null) messages.push(message);
    }
    if (this.#line.length + this.#data.length > LONGEST) throw new Lost("an event of the stream is too long");
    return messages;
  }

  /** Takes a whole line, and gives the message that ends with it. */
  #take(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const start = line[colon + 1] === " " ? colon + 2 : colon + 1;
    const value = colon < 0 ? "" : line.slice(start);
    switch (name) {
      case "data":
        this.#data += `${value}\n`;
        break;
      case "event":
        this.#type = value;
        break;
      case "id":
        if (!value.includes("\0")) this.#id = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.retry = Number(value);
        break;
      default: // a comment, or a field that nobody knows
    }
    return null;
  }

  #dispatch() {
    const [data, type] = [this.#data, this.#type];
    this.#data = this.#type = "";
    this.lastEventId = this.#id;
    return data === "" ? null : { type: type || "message", data: data.slice(0, -1), id: this.#id };
  }
}
