// Tabs of one browser, as far as the hub can tell: each loads the modules for itself, and all meet the same
// SharedWorker.

import { register } from "node:module";
import { after } from "node:test";
import { MessageChannel } from "node:worker_threads";

import { Hub } from "../../../web/tidings/hub.js";

/** By name, as a browser tells workers of one script apart. */
const hubs = new Map();

/** The hubs' ends of the connections to tabs. */
const ports = new Set();

/** How tabs find their workers: whether the script can be had, and after how many milliseconds it runs. */
export const browser = { loads: true, takes: 0 };

/** Kills all workers. Tabs are not told. */
export function killWorkers() {
  for (const port of ports) port.onmessage({ data: { type: "bye" } });
  ports.clear();
  hubs.clear();
}

// At the end all tabs are closed, so that no timer of theirs is left.
globalThis.addEventListener = (type, listener) => type === "pagehide" && after(listener);

globalThis.SharedWorker = class {
  constructor(url, { type, name }) {
    if (type !== "module" || !url.pathname.endsWith("/tidings/worker.js")) throw new TypeError("that is not the hub");
    const { port1, port2 } = new MessageChannel();
    after(() => port2.close());
    this.port = port2;
    if (!browser.loads) return queueMicrotask(() => this.onerror?.());
    // What a tab says as it closes may be lost here.
    port1.on("close", () => port1.onmessage?.({ data: { type: "bye" } }));
    const run = () => {
      if (!hubs.has(name)) hubs.set(name, new Hub(new URL(name)));
      hubs.get(name).attach(port1);
      ports.add(port1);
    };
    if (browser.takes > 0) setTimeout(run, browser.takes);
    else run();
  }
};

// What a module of a tab imports is that tab's as well.
const resolve = async (specifier, context, next) => {
  const { search } = new URL(context.parentURL ?? "none:");
  const resolved = await next(specifier, context);
  return search.startsWith("?tab=") ? { ...resolved, url: resolved.url + search } : resolved;
};
register(`data:text/javascript,export const resolve = ${encodeURIComponent(resolve.toString())}`);

let opened = 0;

/** The module as a new tab has it, which shares none of its state with others. */
export function openTab() {
  opened += 1;
  return import(`../../../web/tidings.js?tab=${opened}`);
}
