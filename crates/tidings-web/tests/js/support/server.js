// A server that speaks Tidings' protocol over real sockets, and does what a test tells it to instead.

import http from "node:http";

/** A job's event, as the wire has it. */
export function event(seq, type = "log", data = { line: `line ${seq}` }, job = "j") {
  return { job, seq, cursor: `${seq}-0`, time: "2026-11-21T10:00:00.000Z", type, data };
}

/** The events of a job that has ended: `queued`, lines, `succeeded`. */
export function wholeJob(length, job) {
  const types = { 1: "queued", [length]: "succeeded" };
  return Array.from({ length }, (_, index) => event(index + 1, types[index + 1], undefined, job));
}

/** An event as a block of a stream. */
export function block(told, id = told.cursor) {
  return `id: ${id}\nevent: ${told.type}\ndata: ${JSON.stringify(told)}\n\n`;
}

export class Server {
  /** The log, of all jobs. */
  log = [];
  /** Of each job, the events before this one are gone. */
  kept = 1;
  /**
   * What was asked for: `{name, job, query, headers}`, where the name is that of a transport, or what else is asked
   * for.
   */
  requests = [];
  heartbeatSeconds = 15;
  /** What to do instead of answering, by the request's name: a function of request and response. */
  instead = {};
  /** How many bytes of bodies were written, by the request's name. */
  bytes = {};
  /** How many streams were open at most. */
  mostStreams = 0;
  #streams = new Set();
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
    return this.jobUrl("j");
  }

  jobUrl(id) {
    return `${this.base}/jobs/${id}`;
  }

  eventsOf(job) {
    return this.log.filter((event) => event.job === job);
  }

  /** How many streams and held requests are open now. */
  get open() {
    return this.#open.size;
  }

  asked(name) {
    return this.requests.filter((request) => request.name === name);
  }

  append(...events) {
    this.log.push(...events);
    for (const wake of this.#open) wake();
  }

  /** Sends a heartbeat over each stream. */
  beat() {
    for (const response of this.#streams) response.write(":\n");
  }

  #answer(request, response) {
    const url = new URL(request.url, this.base);
    const [what, job, transport] = url.pathname.slice(1).split("/");
    const name = what === "jobs" ? (transport ?? "jobs") : what;
    const jobs = url.searchParams.getAll("job");
    const asked = { name, job, jobs, query: Object.fromEntries(url.searchParams), headers: request.headers };
    this.requests.push(asked);
    const write = response.write;
    response.write = (chunk, ...more) => {
      this.bytes[name] = (this.bytes[name] ?? 0) + Buffer.byteLength(chunk);
      return write.call(response, chunk, ...more);
    };
    if (this.instead[name]) return this.instead[name](asked, response);
    this.usual(asked, response);
  }

  /** The answer of a server that is well. */
  usual({ name, job, jobs, query, headers }, response) {
    const after = Number.parseInt(query.after ?? "0", 10);
    if (name === "transports") return this.#transports(response);
    if (name === "events") return this.#streamAll(after, jobs, response);
    if (name === "jobs") return json(response, 200, { jobs: [], cursor: `${this.log.length}-0`, next: null });
    if (this.eventsOf(job).length === 0) return problem(response, 404, "unknown-job");
    if (name === "sse") this.#stream(job, after, response);
    else if (name === "short-poll") {
      this.#page(job, after, query, response, { "retry-after": "1" }, headers["if-none-match"]);
    } else if (name === "long-poll") this.#hold(job, after, query, response);
    else problem(response, 404, "not-found");
  }

  #transports(response) {
    const transports = [{ name: "sse", heartbeat_seconds: this.heartbeatSeconds }];
    json(response, 200, { transports });
  }

  #stream(job, after, response) {
    if (this.#isOver(job, after)) return response.writeHead(204).end();
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write("retry: 1000\n");
    const send = () => {
      if (after + 1 < this.kept) {
        response.write(`id: ${this.kept - 1}-0\nevent: gap\ndata: ${JSON.stringify(this.#gap(job, after))}\n\n`);
        after = this.kept - 1;
      }
      for (const told of this.eventsOf(job).filter(({ seq }) => seq > after)) {
        response.write(block(told));
        after = told.seq;
      }
      if (this.#isOver(job, after)) response.end();
    };
    this.#keep(response, send);
    this.#countStream(response);
    send();
  }

  #streamAll(after, jobs, response) {
    const isOver = (job) => this.#isOver(job, Infinity);
    if (jobs.length > 0 && after >= this.log.length && jobs.every(isOver)) return response.writeHead(204).end();
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write("retry: 1000\n");
    const send = () => {
      for (; after < this.log.length; after += 1) {
        const told = this.log[after];
        if (jobs.length === 0 || jobs.includes(told.job)) response.write(block(told, `${after + 1}-0`));
      }
      if (jobs.length > 0 && jobs.every(isOver)) response.end();
    };
    this.#keep(response, send);
    this.#countStream(response);
    send();
  }

  #countStream(response) {
    this.#streams.add(response);
    this.mostStreams = Math.max(this.mostStreams, this.#streams.size);
    response.on("close", () => this.#streams.delete(response));
  }

  #hold(job, after, query, response) {
    let isLate = query.wait === "0";
    const answer = () => {
      if (response.writableEnded) return;
      const isNews = this.eventsOf(job).some(({ seq }) => seq > after) || this.#isOver(job, after);
      if (isNews || isLate) this.#page(job, after, query, response, {});
    };
    this.#keep(response, answer);
    const timer = setTimeout(() => {
      isLate = true;
      answer();
    }, Number(query.wait) * 1000);
    response.on("close", () => clearTimeout(timer));
    answer();
  }

  #page(job, after, { limit }, response, headers, seen) {
    const kept = this.eventsOf(job).filter(({ seq }) => seq > after && seq >= this.kept);
    const events = kept.slice(0, Number(limit));
    const { cursor, seq } = events.at(-1) ?? { cursor: `${after}-0`, seq: after };
    const gap = after + 1 < this.kept ? this.#gap(job, after) : null;
    if (seen === `"${cursor}"`) return response.writeHead(304, headers).end();
    const more = events.length < kept.length;
    if (more) headers["retry-after"] &&= "0";
    else if (headers["retry-after"]) headers.etag = `"${cursor}"`;
    json(response, 200, { job: this.#snapshot(job), events, cursor, more, done: this.#isOver(job, seq), gap }, headers);
  }

  #gap(job, after) {
    return { requested: after + 1, resumed_at: this.kept, job: this.#snapshot(job) };
  }

  #snapshot(job) {
    const { seq, cursor } = this.eventsOf(job).at(-1);
    return { id: job, seq, cursor };
  }

  #isOver(job, after) {
    const last = this.eventsOf(job).at(-1);
    return last?.type === "succeeded" && after >= last.seq;
  }

  #keep(response, wake) {
    this.#open.add(wake);
    response.on("close", () => this.#open.delete(wake));
  }
}

export function json(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  const length = Buffer.byteLength(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": length, ...headers });
  response.write(body);
  response.end();
}

export function problem(response, status, name, headers = {}) {
  const told = { type: `urn:tidings:problem:${name}`, title: name, status, detail: `it is ${name}` };
  json(response, status, told, headers);
}

/** Writes the head of an answer and a part of it, and breaks the connection. */
export function cut(response, status, headers, part) {
  response.writeHead(status, headers);
  response.write(part);
  setImmediate(() => response.destroy());
}
