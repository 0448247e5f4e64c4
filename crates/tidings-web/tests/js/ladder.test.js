// Which transport is used, and when another one is: with a clock that stands still unless it is told to go on.

import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { follow } from "../../web/tidings.js";
import { pass, passExactly, passUntil, settled, until } from "./support/clock.js";
import { Reader } from "./support/reader.js";
import { Server, block, cut, event, json, problem, wholeJob } from "./support/server.js";

const SSE_HEAD = { "content-type": "text/event-stream" };

/** A server with a job that runs, a stopped clock, and a reader of it. */
async function running(t, options, prepare = () => {}) {
  // The longest pause there can be.
  t.mock.method(Math, "random", () => 0.999999);
  const server = await Server.start(t);
  server.append(event(1, "queued"), event(2, "started"));
  prepare(server);
  const reader = new Reader(follow(server.job, options));
  t.after(() => reader.end());
  return { server, reader };
}

/** Sends heartbeats until a condition holds. */
async function beat(stream, condition) {
  while (!condition()) {
    stream.write(":\n");
    await settled();
  }
}

test("it streams by default", async (t) => {
  const { server, reader } = await running(t);
  await until(() => reader.seqs.length === 2);
  server.append(event(3), event(4, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4]);
  assert.deepEqual(reader.transports, ["sse"]);
  assert.deepEqual(reader.updates[0], { kind: "transport", transport: "sse" });
  assert.deepEqual(reader.updates[1], { kind: "event", event: event(1, "queued"), transport: "sse" });
});

for (const [what, silent] of [
  ["whose head never comes", () => {}],
  ["without a first line", (_, response) => response.writeHead(200, SSE_HEAD).flushHeaders()],
]) {
  test(`a stream ${what} is dead after five seconds, and the next transport goes on`, async (t) => {
    const { server, reader } = await running(t, {}, (server) => (server.instead.sse = silent));
    await until(() => server.asked("sse").length === 1);
    await settled();
    await passExactly(5000, () => server.asked("long-poll").length > 0);
    await until(() => reader.seqs.length === 2);
    server.append(event(3, "succeeded"));
    await reader.finished;
    assert.deepEqual(reader.seqs, [1, 2, 3]);
    assert.deepEqual(reader.transports, ["long-poll"]);
  });
}

test("it climbs back within a minute, and no event is missing or comes twice", async (t) => {
  const { server, reader } = await running(t, {}, (server) => (server.instead.sse = () => {}));
  await passUntil(() => server.asked("long-poll").length >= 2);
  server.append(event(3));
  await until(() => reader.seqs.length === 3 && server.asked("long-poll").length === 3);

  // The next try comes too early, and finds it as bad as before.
  await passUntil(() => server.asked("sse").length >= 2);
  let stream;
  server.instead.sse = (asked, response) => server.usual(asked, (stream = response));
  await pass(5000);
  server.append(event(4));
  await until(() => reader.seqs.length === 4);
  assert.equal(reader.transports.length, 1);
  assert.ok((await passUntil(() => server.asked("sse").length >= 3)) <= 50_000);
  await beat(stream, () => reader.transports.length === 2);
  await until(() => server.open === 1);
  server.append(event(5), event(6, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(reader.transports, ["long-poll", "sse"]);
  await until(() => server.open === 0);
});

test("once the job is over nothing better is looked for", async (t) => {
  const { server, reader } = await running(t, {}, (server) => (server.instead.sse = () => {}));
  await passUntil(() => reader.seqs.length === 2);
  server.append(event(3, "succeeded"));
  await reader.finished;
  const asked = server.requests.length;
  await pass(60_000);
  assert.equal(server.requests.length, asked);
});

test("a better transport that has fallen behind repeats nothing", async (t) => {
  let stream;
  const { server, reader } = await running(t, {}, (server) => (server.instead.sse = () => {}));
  await passUntil(() => reader.seqs.length >= 2);
  server.instead.sse = (asked, response) => (stream = { asked, response });
  await passUntil(() => stream !== undefined);
  assert.equal(stream.asked.query.after, "2-0");
  server.append(event(3), event(4));
  await until(() => reader.seqs.length === 4);
  server.usual(stream.asked, stream.response);
  await beat(stream.response, () => reader.transports.at(-1) === "sse");
  server.append(event(5, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4, 5]);
});

test("a stream whose beginning comes through, and nothing after it, delays no event twice", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    server.instead.sse = (asked, response) => {
      const write = response.write.bind(response);
      let isFirst = true;
      response.write = (chunk) => isFirst && !(isFirst = false) && write(chunk);
      response.end = () => {};
      server.usual(asked, response);
    };
  });
  await passUntil(() => reader.transports.at(-1) === "long-poll");
  for (let seq = 3; seq < 60; seq += 1) {
    server.append(event(seq));
    const late = await passUntil(() => reader.seqs.at(-1) === seq);
    assert.ok(late <= 2500, `event ${seq} came after ${late} ms`);
    await pass(2500);
  }
  assert.ok(server.asked("sse").length > 3, "it is tried again and again");
  delete server.instead.sse;
  let passed = 0;
  for (; reader.transports.at(-1) !== "sse"; passed += 2500) {
    server.append(event(server.log.length + 1));
    await pass(2500);
  }
  assert.ok(passed <= 60_000, `it took ${passed} ms`);
  server.append(event(server.log.length + 1, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, server.log.map(({ seq }) => seq));
  assert.deepEqual(reader.transports, ["sse", "long-poll", "sse"]);
});

test("a heartbeat is proof enough of a better transport", async (t) => {
  let stream;
  const { server, reader } = await running(t, {}, (server) => (server.instead.sse = () => {}));
  await passUntil(() => reader.transports.length === 1);
  server.instead.sse = (asked, response) => server.usual(asked, (stream = response));
  await passUntil(() => stream !== undefined);
  await pass(10_000);
  assert.deepEqual(reader.transports, ["long-poll"]);
  await beat(stream, () => reader.transports.length === 2);
  assert.deepEqual(reader.transports, ["long-poll", "sse"]);
});

test("where held requests are not answered, short polling is not left for them", async (t) => {
  const { server, reader } = await running(t, { transports: ["long-poll", "short-poll"] }, (server) => {
    server.instead["long-poll"] = (asked, response) => {
      if (asked.query.wait === "0") server.usual(asked, response);
    };
  });
  await passUntil(() => reader.transports.at(-1) === "short-poll");
  await pass(100_000);
  await passUntil(() => server.asked("long-poll").length > 6);
  assert.deepEqual(reader.transports, ["long-poll", "short-poll"]);
  delete server.instead["long-poll"];
  assert.ok((await passUntil(() => reader.transports.at(-1) === "long-poll")) <= 60_000);
  server.append(event(3, "succeeded"));
  await passUntil(() => reader.over);
  assert.deepEqual(reader.seqs, [1, 2, 3]);
});

for (const [what, kept, gaps] of [
  ["whose gap is of what was seen meanwhile is told of no gap", 4, []],
  ["whose gap begins in what was seen meanwhile is told of the rest of it", 7, [[4, 7]]],
]) {
  test(`a better transport ${what}`, async (t) => {
    let stream;
    const { server, reader } = await running(t, {}, (server) => (server.instead.sse = () => {}));
    await passUntil(() => reader.seqs.length >= 2);
    server.instead.sse = (asked, response) => (stream = { asked, response });
    await passUntil(() => stream !== undefined);
    // The one in use brings this, and no more.
    server.instead["long-poll"] = () => {};
    server.append(event(3), event(4));
    await until(() => reader.seqs.length === 4);
    // What the stream was asked for is no longer kept when it begins.
    server.append(event(5), event(6), event(7));
    server.kept = kept;
    server.usual(stream.asked, stream.response);
    await beat(stream.response, () => reader.transports.at(-1) === "sse");
    await until(() => reader.seqs.at(-1) === 7);
    server.append(event(8, "succeeded"));
    await reader.finished;
    const unkept = (seq) => seq > 4 && seq < kept;
    assert.deepEqual(reader.seqs, [1, 2, 3, 4, 5, 6, 7, 8].filter((seq) => !unkept(seq)));
    assert.deepEqual(reader.gaps.map(({ requested, resumed_at }) => [requested, resumed_at]), gaps);
  });
}

test("a stream without its heartbeat is dead, and the next transport goes on from the same cursor", async (t) => {
  const { server, reader } = await running(t, {}, (server) => (server.heartbeatSeconds = 7));
  await until(() => reader.seqs.length === 2 && server.asked("transports").length === 1);
  await settled();
  // The first wait began before the heartbeat was known.
  server.append(event(3));
  await until(() => reader.seqs.length === 3);
  await settled();
  server.instead.sse = () => {};
  await passExactly(12_000, () => server.asked("long-poll").length > 0);
  assert.equal(server.asked("long-poll")[0].query.after, "3-0");
  server.append(event(4, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4]);
});

test("heartbeats keep a stream alive on which nothing happens", async (t) => {
  let stream;
  const { server, reader } = await running(t, {}, (server) => {
    server.instead.sse = (asked, response) => {
      stream = response;
      server.usual(asked, response);
    };
  });
  await until(() => reader.seqs.length === 2);
  for (let minute = 0; minute < 10; minute += 1) {
    await pass(15_000);
    stream.write(":\n");
    await settled();
  }
  server.append(event(3, "succeeded"));
  await reader.finished;
  assert.deepEqual([server.asked("sse").length, reader.transports], [1, ["sse"]]);
});

test("while the server is away nothing is changed over to, and the pauses grow up to 30 s", async (t) => {
  const away = (_, response) => json(response, 502, {});
  const { server, reader } = await running(t, {}, (server) => {
    server.instead = { sse: away, "long-poll": away, "short-poll": away };
  });
  for (const [tries, milliseconds] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].entries()) {
    // From the fourth on each of them tries all transports.
    await until(() => server.asked(tries < 3 ? "sse" : "short-poll").length === (tries < 3 ? tries + 1 : tries - 2));
    await settled();
    await passExactly(milliseconds, () => server.asked("sse").length === tries + 2);
  }
  assert.deepEqual(reader.transports, [null], "it says so, once");
  server.instead = {};
  await passUntil(() => reader.seqs.length >= 2);
  assert.deepEqual(reader.transports, [null, "sse"]);
});

test("pauses are drawn at random from nothing up to their bound", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    Math.random.mock.mockImplementation(() => 0);
    server.instead.sse = (_, response) => json(response, 503, {});
  });
  await until(() => reader.seqs.length === 2);
  assert.deepEqual(reader.transports, ["long-poll"], "no time had to pass until the others were tried");
  assert.equal(server.asked("sse").length, 4);
});

test("a transport that alone is refused is passed over", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    server.instead.sse = (_, response) => json(response, 403 + 99, {});
  });
  await passUntil(() => reader.seqs.length >= 2);
  assert.deepEqual(reader.transports, ["long-poll"]);
  server.append(event(3, "succeeded"));
  await reader.finished;
});

for (const [form, value] of [
  ["seconds", () => "12"],
  ["a date", () => new Date(Date.now() + 12_000).toUTCString()],
]) {
  test(`nothing is asked before Retry-After has passed, as ${form}`, async (t) => {
    const { server, reader } = await running(t, {}, (server) => {
      server.instead.sse = (_, response) => json(response, 429, {}, { "retry-after": value() });
    });
    await until(() => server.asked("sse").length === 1);
    delete server.instead.sse;
    await settled();
    // A date has no fractions of a second.
    const slack = form === "a date" ? 1000 : 0;
    await passExactly(12_000 - slack, () => server.requests.length > 1);
    await until(() => reader.seqs.length === 2);
  });
}

test("a server that has no room for a stream says when to come back, and is obeyed", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    server.instead.sse = (_, response) => response.writeHead(200, SSE_HEAD).end(": overloaded\nretry: 10000\n");
  });
  await until(() => server.asked("sse").length === 1);
  delete server.instead.sse;
  await settled();
  await passExactly(10_000, () => server.asked("sse").length > 1);
  await until(() => reader.seqs.length === 2);
});

test("a stream that is cut is gone on with at once, if it told something", async (t) => {
  let stream;
  const { server, reader } = await running(t, {}, (server) => {
    server.instead.sse = (_, response) => {
      stream = response;
      response.writeHead(200, SSE_HEAD).write(`retry: 3000\n${block(event(1))}${block(event(2)).slice(0, -20)}`);
    };
  });
  await until(() => reader.seqs.length === 1);
  delete server.instead.sse;
  server.append(event(3, "succeeded"));
  stream.destroy();
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3]);
  assert.deepEqual(server.asked("sse").map(({ query }) => query.after), [undefined, "1-0"]);
});

test("however often a stream is cut, nothing is missing and nothing comes twice", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    server.log = wholeJob(20);
    server.instead.sse = ({ query }, response) => {
      const after = Number.parseInt(query.after ?? "0", 10);
      const [whole, broken] = server.log.slice(after).map((told) => block(told));
      cut(response, 200, SSE_HEAD, `retry: 3000\n${whole}${broken?.slice(0, -20) ?? ""}`);
    };
  });
  // What has come in the same moment as the end of the connection may be lost with it, and is asked for after a pause.
  await passUntil(() => reader.over);
  assert.deepEqual(reader.seqs, wholeJob(20).map(({ seq }) => seq));
  assert.deepEqual(reader.transports, ["sse"]);
});

test("a stream that ends without its last event is a pause, and not the end", async (t) => {
  const { server, reader } = await running(t, {}, (server) => {
    const events = [event(1), event(2)].map((told) => block(told)).join("");
    server.instead.sse = (_, response) => response.writeHead(200, SSE_HEAD).end(`retry: 3000\n${events}`);
  });
  await until(() => server.asked("sse").length === 1);
  delete server.instead.sse;
  server.append(event(3, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3]);
});

for (const transport of ["long-poll", "short-poll"]) {
  test(`a page of ${transport} that is cut is asked for again with half its limit, which grows again`, async (t) => {
    const { server, reader } = await running(t, { transports: [transport], interval: 0 }, (server) => {
      server.log = wholeJob(4000);
      server.instead[transport] = (asked, response) => {
        if (asked.query.limit <= 250) return server.usual(asked, response);
        cut(response, 200, { "content-type": "application/json", "content-length": 100_000 }, '{"events":[');
      };
    });
    await passUntil(() => reader.over);
    assert.deepEqual(reader.seqs, server.log.map(({ seq }) => seq));
    const limits = server.asked(transport).map(({ query }) => Number(query.limit));
    assert.deepEqual(limits.slice(0, 10), [1000, 500, 250, 250, 250, 250, 500, 250, 250, 250]);
  });

  test(`half a page of ${transport} in a whole answer is a cut one too`, async (t) => {
    const { server, reader } = await running(t, { transports: [transport], interval: 0 }, (server) => {
      server.instead[transport] = (asked, response) => {
        if (asked.query.limit <= 500) return server.usual(asked, response);
        response.writeHead(200, { "content-type": "application/json" }).end('{"events":[');
      };
    });
    await until(() => reader.seqs.length === 2);
    assert.equal(server.asked(transport)[1].query.limit, "500");
  });
}

test("a held request is answered when something happens, and the next one follows at once", async (t) => {
  const { server, reader } = await running(t, { transports: ["long-poll"] });
  await until(() => server.asked("long-poll").length === 2);
  server.append(event(3));
  await until(() => reader.seqs.length === 3 && server.asked("long-poll").length === 3);
  assert.deepEqual(server.asked("long-poll").map(({ query }) => query.wait), ["0", "25", "25"]);
  server.append(event(4, "succeeded"));
  await reader.finished;
  assert.deepEqual(reader.seqs, [1, 2, 3, 4]);
});

test("short polls keep to what the server asks for, or to the interval", async (t) => {
  for (const [interval, expected] of [[undefined, 1000], [250, 250]]) {
    const { server } = await running(t, { transports: ["short-poll"], interval });
    await until(() => server.asked("short-poll").length === 1);
    await settled();
    await passExactly(expected, () => server.asked("short-poll").length === 2);
    assert.equal(server.asked("short-poll")[1].headers["if-none-match"], '"2-0"');
  }
});
