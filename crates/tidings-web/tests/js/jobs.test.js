// Single requests.

import assert from "node:assert/strict";
import test from "node:test";

import { cancel, get, list, submit, transports } from "../../web/tidings.js";
import { passUntil, until } from "./support/clock.js";
import { Server, json, problem } from "./support/server.js";

test("a submission that is sent again is one job: it carries the same key each time", async (t) => {
  const server = await Server.start(t);
  const answers = [
    (response) => response.destroy(),
    (response) => problem(response, 503, "overloaded", { "retry-after": "10" }),
    (response) => json(response, 202, { id: "j" }),
  ];
  server.instead.jobs = (_, response) => answers.shift()(response);
  let job;
  submit(server.base, { kind: "pipeline", input: { pipeline: "deploy" } }).then((answered) => (job = answered));
  const passed = await passUntil(() => job !== undefined);
  assert.ok(passed >= 10_000, `${passed} ms`);
  assert.deepEqual(job, { id: "j" });
  const keys = server.asked("jobs").map(({ headers }) => headers["idempotency-key"]);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(keys, [keys[0], keys[0], keys[0]]);

  server.instead.jobs = (_, response) => json(response, 202, { id: "k" });
  await submit(server.base, { kind: "pipeline" });
  assert.notEqual(server.asked("jobs").at(-1).headers["idempotency-key"], keys[0]);
});

test("a problem that another try would not mend is the caller's at once", async (t) => {
  const server = await Server.start(t);
  server.instead.jobs = (_, response) => problem(response, 422, "unknown-kind");
  const submitted = submit(server.base, { kind: "nonsense" });
  await assert.rejects(submitted, { name: "ProblemError", status: 422, problem: "unknown-kind" });
  server.instead.jobs = (_, response) => problem(response, 404, "not-found");
  await assert.rejects(get(`${server.base}/jobs`), { name: "ProblemError", status: 404, problem: "not-found" });
  assert.equal(server.requests.length, 2);
});

test("what stays broken is told in the end", async (t) => {
  const server = await Server.start(t);
  server.instead.jobs = (_, response) => problem(response, 503, "overloaded");
  let error;
  list(server.base).catch((caught) => (error = caught));
  await passUntil(() => error !== undefined);
  assert.deepEqual([error.name, error.problem, server.requests.length], ["ProblemError", "overloaded", 5]);
});

test("a signal ends a request", async (t) => {
  const server = await Server.start(t);
  server.instead.jobs = () => {};
  const ending = new AbortController();
  const listed = list(server.base, {}, { signal: ending.signal });
  await until(() => server.requests.length === 1);
  ending.abort();
  await assert.rejects(listed, { name: "AbortError" });
});

test("addresses may have a prefix and a slash at their end, and filters are parameters", async (t) => {
  const server = await Server.start(t);
  const asked = [];
  const fetch = async (url, { method = "GET", body }) => {
    asked.push([method, String(url).slice(server.base.length), body]);
    return new Response('{"transports": [{"name": "sse"}]}', { headers: { "content-type": "application/json" } });
  };
  await list(`${server.base}/tidings/`, { state: "running", limit: 5, page: null }, { fetch });
  await cancel(`${server.base}/tidings/jobs/j`, "enough", { fetch });
  await cancel(`${server.base}/jobs/j/`, undefined, { fetch });
  assert.deepEqual(await transports(server.base, { fetch }), [{ name: "sse" }]);
  assert.deepEqual(asked, [
    ["GET", "/tidings/jobs?state=running&limit=5", undefined],
    ["POST", "/tidings/jobs/j/cancel", '{"reason":"enough"}'],
    ["POST", "/jobs/j/cancel", undefined],
    ["GET", "/transports", undefined],
  ]);
});

test("where there is no page, a URL without a server is refused in words", () => {
  assert.throws(() => submit("/", { kind: "pipeline" }), /^TypeError: \/ is no whole URL, such as http/);
});
