// How long a stream of a server may be silent, and how often the hub tells its tabs that it lives.

/** Milliseconds between two heartbeats of the hub. */
export const BEAT = 15_000;

/** What a server is given above the time between two heartbeats, in milliseconds. */
const SLACK = 5000;

/** By the function that asks, then by the address of `/transports`: the milliseconds, once they are known. */
const known = new WeakMap();

/**
 * A function that gives the milliseconds of silence after which a stream of this server is dead, or null while that is
 * not known. A server is asked once, the first time that somebody wants to know.
 *
 * @param {URL} url of the server's `/transports`
 * @param {typeof globalThis.fetch} fetch
 * @returns {() => number | null}
 */
export function silenceOf(url, fetch) {
  return () => {
    if (!known.has(fetch)) known.set(fetch, new Map());
    const answers = known.get(fetch);
    if (!answers.has(url.href)) {
      answers.set(url.href, null);
      ask(url, fetch).then((silence) => answers.set(url.href, silence), () => answers.delete(url.href));
    }
    return answers.get(url.href);
  };
}

async function ask(url, fetch) {
  const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(SLACK) });
  const { transports } = await response.json();
  const seconds = transports.find(({ name }) => name === "sse")?.heartbeat_seconds;
  return typeof seconds === "number" ? seconds * 1000 + SLACK : null;
}
