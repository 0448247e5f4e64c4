// A server that speaks Tidings' protocol over real sockets, holds one job, and does what a test tells it to instead.

import http from "node:http";

/** A job's event, as the wire has it. */
export function event(seq, type = "log", data = { line: `line ${seq}` }) {
  return { job: "j", seq, cursor: `${seq}-0`, time: "2026-11-21T10:00:00.000Z", type, data };
}

/** The log of a job that has ended: `queued`, lines, `succeeded`. */
export function wholeJob(length) {
  const types = { 1: "queued", [length]: "succeeded" };
  return Array.from({ length }, (_, index) => event(index + 1, types[index + 1]));
}

/** An event as a block of a stream. */
export function block(told) {
  return `id: ${told.cursor}\nevent: ${told.type}\ndata: ${JSON.stringify(told)}\n\n`;
}

export class Server {
  /** The job's log. Those before `kept` are gone. */
  events = [];
  kept = 1;
  /** What was asked for: `{name, query, headers}`, where the name is the last part of the path. */
  requests = [];
  heartbeatSeconds = 15;
  /** What to do instead of answering, by the last part of the path: a function of request and response. */
  instead = {};
  /** How many bytes of bodies were written. */
  bytes = 0;
  /** Streams and held requests that are open. */
  #open = new Set();
  #server;

  static async start(t) {
    const server = new Server();
    server.#server = http.createServer((request, response) => server.#answer(request, response));
    await new Promise((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.stop());
    return server;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  get base() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  get job() {
    return `${this.base}/jobs/j`;
  }

  /** How many streams and held requests are open now. */
  get open() {
    return this.#open.size;
  }

  asked(name) {
    return this.requests.filter((request) => request.name === name);
  }

  append(...events) {
    this.events.push(...events);
    for (const wake of this.#open) wake();
  }

  #answer(request, response) {
    const url = new URL(request.url, this.base);
    const name = url.pathname.split("/").pop();
    const asked = { name, query: Object.fromEntries(url.searchParams), headers: request.headers };
    this.requests.push(asked);
    const write = response.write;
    response.write = (chunk, ...more) => {
      this.bytes += Buffer.byteLength(chunk);
      return write.call(response, chunk, ...more);
    };
    if (this.instead[name]) return this.instead[name](asked, response);
    this.usual(asked, response);
  }

  /** The answer of a server that is well. */
  usual({ name, query, headers }, response) {
    const after = Number.parseInt(query.after ?? "0", 10);
    if (name === "sse") this.#stream(after, response);
    else if (name === "short-poll") this.#page(after, query, response, { "retry-after": "1" }, headers["if-none-match"]);
    else if (name === "long-poll") this.#hold(after, query, response);
    else if (name === "transports") this.#transports(response);
    else problem(response, 404, "not-found");
  }

  #transports(response) {
    const transports = [{ name: "sse", heartbeat_seconds: this.heartbeatSeconds }];
    json(response, 200, { transports });
  }

  #stream(after, response) {
    if (this.#isOver(after)) return response.writeHead(204).end();
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write("retry: 1000\n");
    const send = () => {
      if (after + 1 < this.kept) {
        response.write(`id: ${this.kept - 1}-0\nevent: gap\ndata: ${JSON.stringify(this.#gap(after))}\n\n`);
        after = this.kept - 1;
      }
      for (const told of this.events.filter(({ seq }) => seq > after)) {
        response.write(block(told));
        after = told.seq;
      }
      if (this.#isOver(after)) response.end();
    };
    this.#keep(response, send);
    send();
  }

  #hold(after, query, response) {
    const answer = () => {
      if (response.writableEnded) return;
      if (query.wait !== "0" && !this.events.some(({ seq }) => seq > after) && !this.#isOver(after)) return;
      this.#page(after, query, response, {});
    };
    this.#keep(response, answer);
    answer();
  }

  #page(after, { limit }, response, headers, seen) {
    const kept = this.events.filter(({ seq }) => seq > after && seq >= this.kept);
    const events = kept.slice(0, Number(limit));
    const { cursor, seq } = events.at(-1) ?? { cursor: `${after}-0`, seq: after };
    const gap = after + 1 < this.kept ? this.#gap(after) : null;
    if (seen === `"${cursor}"`) return response.writeHead(304, headers).end();
    const more = events.length < kept.length;
    if (more) headers["retry-after"] &&= "0";
    else if (headers["retry-after"]) headers.etag = `"${cursor}"`;
    json(response, 200, { job: this.#snapshot(), events, cursor, more, done: this.#isOver(seq), gap }, headers);
  }

  #gap(after) {
    return { requested: after + 1, resumed_at: this.kept, job: this.#snapshot() };
  }

  #snapshot() {
    return { id: "j", seq: this.events.length, cursor: `${this.events.length}-0` };
  }

  #isOver(after) {
    const last = this.events.at(-1);
    return last?.type === "succeeded" && after >= last.seq;
  }

  #keep(response, wake) {
    this.#open.add(wake);
    response.on("close", () => this.#open.delete(wake));
  }
}

export function json(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers });
  response.write(body);
  response.end();
}

export function problem(response, status, name, headers = {}) {
  json(response, status, { type: `urn:tidings:problem:${name}`, title: name, status, detail: `it is ${name}` }, headers);
}

/** Writes the head of an answer and a part of it, and breaks the connection. */
export function cut(response, status, headers, part) {
  response.writeHead(status, headers);
  response.write(part);
  setImmediate(() => response.destroy());
}
