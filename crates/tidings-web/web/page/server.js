/** What the page asks of the server besides jobs, and whether the server is there. */

/** Where the server is mounted: the page lies beside its paths. */
export const BASE = new URL("./", document.baseURI);

/** How often the server is asked whether it is there, and how often while it is not: ms. */
const INTERVAL = { there: 5_000, away: 2_000 };
/** How long an answer may take before the server counts as away: ms. */
const PATIENCE = 8_000;

/** The URL of a job. */
export function jobUrl(id) {
  return new URL(`jobs/${id}`, BASE);
}

/** What the server mounts, with how each broker is doing: the entries of `GET /transports`. */
export async function transports(signal) {
  const answer = await fetch(new URL("transports", BASE), { signal, cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return (await answer.json()).transports;
}

/**
 * The pipelines that can be started, or null where the server has no list of them. It is asked for once.
 *
 * @returns {Promise<{ name: string, steps: string[] }[] | null>}
 */
export function pipelines() {
  asked ??= fetch(new URL("pipelines", BASE)).then(
    async (answer) => (answer.ok ? (await answer.json()).pipelines : null),
    (error) => {
      asked = undefined;
      throw error;
    },
  );
  return asked;
}
let asked;

/**
 * Tells whether the server answers, at once and whenever that changes.
 *
 * @param {(isThere: boolean, since: Date) => void} told
 */
export async function watchServer(told) {
  let wasThere;
  for (;;) {
    const isThere = await transports(AbortSignal.timeout(PATIENCE)).then(() => true, () => false);
    if (isThere !== wasThere) told(isThere, new Date());
    wasThere = isThere;
    await pause(isThere ? INTERVAL.there : INTERVAL.away);
  }
}

/** Waits, and for as long as nobody looks: a page in the background asks nothing. */
async function pause(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (!document.hidden) return;
  await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}
