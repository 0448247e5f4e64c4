// The real tidings-server, which `TIDINGS_SERVER` names, and what can be done to it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Why tests of it are left out, if they are. */
export const missing = !process.env.TIDINGS_SERVER && "TIDINGS_SERVER does not say where the server is";

/** Starts it on a free port; gives its address, and ends it with the test. */
export async function startServer(t) {
  const { TIDINGS_SERVER, TIDINGS_AMQP_URL, ...environment } = process.env;
  const options = { env: { RUST_LOG: "warn", ...environment }, stdio: ["ignore", "pipe", "inherit"] };
  const folder = await mkdtemp(join(tmpdir(), "tidings-"));
  const config = join(folder, "config.toml");
  // A proxy goes by another name.
  await writeFile(config, 'hosts = ["*"]\n');
  const child = spawn(TIDINGS_SERVER, ["--listen", "127.0.0.1:0", "--config", config], options);
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await rm(folder, { recursive: true });
  });
  const [line] = await once(createInterface(child.stdout), "line");
  return line.replace("listening on ", "");
}

const JSON_TYPE = { "content-type": "application/json" };

/** A job that this test reports on. */
export class Reported {
  #report;
  #next = 1;

  static async open(base, kind = "work") {
    const body = JSON.stringify({ kind, input: null, worker: "external", lease_seconds: 600 });
    const response = await fetch(`${base}/jobs`, { method: "POST", headers: JSON_TYPE, body });
    const reported = new Reported();
    Object.assign(reported, await response.json());
    reported.url = `${base}/jobs/${reported.id}`;
    reported.#report = { token: reported.report.token, url: `${reported.url}/events` };
    return reported;
  }

  /** Adds so many lines of so many characters. */
  async lines(count, length = 20) {
    const line = () => ({ type: "log", data: { stream: "stdout", line: `${this.#next++}`.padEnd(length, "-") } });
    await this.#send(Array.from({ length: count }, line));
  }

  async succeed() {
    await this.#send([{ type: "succeeded", data: { result: null } }]);
  }

  async #send(events) {
    const headers = { ...JSON_TYPE, authorization: `Bearer ${this.#report.token}` };
    const response = await fetch(this.#report.url, { method: "POST", headers, body: JSON.stringify(events) });
    if (!response.ok) throw new Error(await response.text());
    await response.arrayBuffer();
  }
}

/** A proxy that cuts each connection after some bytes of answers, each time another number; gives its address. */
export async function startCutting(t, upstream, least, most) {
  const target = new URL(upstream);
  const connections = new Set();
  let seed = 1;
  const proxy = net.createServer((client) => {
    seed = (seed * 48_271) % 2_147_483_647;
    let left = least + (seed % (most - least));
    const server = net.connect(target.port, target.hostname);
    for (const socket of [client, server]) {
      connections.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        connections.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    server.on("data", (bytes) => {
      client.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left <= 0) client.end(() => server.destroy());
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  t.after(() => {
    proxy.close();
    for (const socket of connections) socket.destroy();
  });
  return `http://127.0.0.1:${proxy.address().port}`;
}
