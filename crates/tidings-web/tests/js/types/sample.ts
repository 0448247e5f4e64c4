// Uses all that tidings.d.ts declares; only compiled, never run. What must not compile says so.

import {
  type Event,
  type Job,
  type Updates,
  ProblemError,
  cancel,
  createPolling,
  follow,
  followAll,
  get,
  list,
  submit,
  transports,
} from "../../../web/tidings.js";

export async function everything(base: URL): Promise<Event | null> {
  const job: Job = await submit(base, { kind: "pipeline", input: { pipeline: "deploy" } }, { idempotencyKey: "k" });
  const ending = new AbortController();
  const updates: Updates = follow(`${base}/jobs/${job.id}`, {
    signal: ending.signal,
    transports: ["sse", "long-poll", "short-poll"],
    interval: 1000,
    timeout: 60_000,
    after: job.cursor,
    eventSource: "native",
    shared: false,
    fetch: globalThis.fetch,
    onEvent: (event, transport) => console.log(event.type, transport),
    onGap: (gap) => console.log(gap.job.state),
    onTransport: (transport) => console.log(transport?.length),
    onTraffic: ({ requests, bytes }) => console.log(requests + bytes),
  });
  for await (const update of updates) {
    if (update.kind === "event") console.log(update.event.data.line, update.transport);
    else if (update.kind === "gap") console.log(update.gap.resumed_at - update.gap.requested);
    // @ts-expect-error: none may work just now
    else console.log(update.transport.length);
  }
  const { jobs, cursor, next } = await list(base, { state: "running", limit: 10 });
  for await (const update of followAll(base, { after: cursor, jobs: jobs.map(({ id }) => id) })) {
    if (update.kind === "gap") console.log(update.gap.jobs.length, next?.length);
  }
  const polling = createPolling(async (stop) => stop(), 1000, 10_000);
  polling.step();
  polling.cancel();
  try {
    await cancel(job.links.self, "no longer needed");
    await get(job.links.self, { signal: ending.signal });
  } catch (error) {
    if (error instanceof ProblemError) console.log(error.status + 1, error.problem?.length);
  }
  console.log((await transports(base)).map(({ name }) => name));
  return follow(base).toEnd();
}

// @ts-expect-error: there is no such transport
follow("jobs/1", { transports: ["websocket"] });
// @ts-expect-error: whoever follows all jobs has no choice of transports
followAll(".", { transports: ["sse"] });
// @ts-expect-error: a job has a kind
submit(".", {});
