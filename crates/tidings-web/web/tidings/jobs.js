// Single requests about jobs.

import { Exchange } from "./exchange.js";
import { Lost, NotOffered } from "./failures.js";
import { absolute, locate } from "./urls.js";
import { pause, sleep } from "./wait.js";

/** How long an answer may take, in milliseconds. */
const PATIENCE = 30_000;
/** How often a request is sent until it is given up. */
const TRIES = 5;

/** Submits a job. */
export function submit(base, { kind, input = null }, { idempotencyKey = newKey(), ...options } = {}) {
  const body = JSON.stringify({ kind, input });
  const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey };
  return ask(locate(absolute(base), "/jobs"), { method: "POST", headers, body }, options);
}

/** A job as it is now. */
export function get(jobUrl, options) {
  return ask(absolute(jobUrl), {}, options);
}

/** The jobs, newest first: a page of them. */
export function list(base, filter = {}, options = {}) {
  return ask(locate(absolute(base), "/jobs", filter), {}, options);
}

/** Asks that a job be cancelled. */
export function cancel(jobUrl, reason, options) {
  const body = { body: JSON.stringify({ reason }), headers: { "content-type": "application/json" } };
  const request = { method: "POST", ...(reason === undefined ? {} : body) };
  return ask(locate(absolute(jobUrl), "/cancel"), request, options);
}

/** The transports that the server offers, and how they are. */
export async function transports(base, options) {
  return (await ask(locate(absolute(base), "/transports"), {}, options)).transports;
}

/** Sends a request that may be sent again, until it is answered. */
async function ask(url, request, { signal = new AbortController().signal, fetch = globalThis.fetch } = {}) {
  for (let tries = 1; ; tries += 1) {
    const exchange = new Exchange({ fetch, count: () => {} }, signal);
    try {
      await exchange.send(url, request, PATIENCE);
      if (!exchange.response.ok) throw await exchange.refusal();
      return await exchange.json();
    } catch (error) {
      if (!(error instanceof Lost)) throw error instanceof NotOffered ? error.cause : error;
      if (tries === TRIES) throw error.cause ?? error;
      await sleep(Math.max(pause(tries), error.retryAfter ?? 0), signal);
    } finally {
      exchange.close();
    }
  }
}

/** A key that nobody else makes. `crypto.randomUUID` is there for pages over TLS only, this is there for all. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
