// One connection for all tabs: reads `/events` for what anybody follows, and hands each event to who follows it.
//
// Nothing rests on the stream being whole. A follower takes an event from it only if that is the next one of its job;
// where it is not, or may not be, the follower reads what it lacks by short polls. So whoever joins late gets the
// history, and a stream that was opened anew, or a tab that was too slow, costs a request and no event.

import { ProblemError } from "./failures.js";
import { Follower } from "./follower.js";
import { BEAT } from "./heartbeat.js";
import { Ladder } from "./ladder.js";
import { LogReading } from "./reading.js";
import { Watcher, positionOf } from "./watcher.js";

/** The most jobs that a stream can be asked for by name; with more than that, it is asked for all. */
const MOST_NAMED = 100;
/** Tabs that are opened together are waited for, in milliseconds, so that the stream is opened once for all. */
const TOGETHER = 50;
/** After how many milliseconds a stream that was refused is asked for again. */
const REFUSED = 10_000;
/** Without the stream, so many jobs may have a request held each: a browser has six connections to a server. */
const MOST_HELD = 2;

/** What all tabs share that follow jobs of one server. */
export class Hub {
  #base;
  #options;
  /** By the tabs' ports: their followers and watchers, by the numbers that the tabs give them. */
  #tabs = new Map();
  /** Followers of single jobs, by the job's id. @type {Map<string, Set<Follower>>} */
  #jobs = new Map();
  /** Those who watch all jobs. @type {Set<Watcher>} */
  #watchers = new Set();
  /** The stream's `{named, ending}`: the ids that it was asked for, null for all, and what ends it. */
  #stream = null;
  /** What the stream goes on from when it is opened anew. */
  #cursor = "now";
  /** Over which transport events come: null while the stream is dead or not there yet. */
  #transport = null;
  /** Of each job that is read without the stream, by its id, `{transport, ending}`: over what, and what ends it. */
  #substitutes = new Map();
  /** The timer that opens the stream, and when it does. */
  #timer = null;
  #opensAt;
  /** The timer of the heartbeats that the tabs are sent. */
  #beat;

  /**
   * @param {URL} base of the server
   * @param {{fetch?: typeof fetch}} [options]
   */
  constructor(base, options = {}) {
    this.#base = base;
    this.#options = options;
  }

  /** Serves a tab. */
  attach(port) {
    const members = new Map();
    this.#tabs.set(port, members);
    port.onmessage = ({ data }) => {
      const { type, id } = data;
      if (type === "follow") this.#follow(port, members, data);
      else if (type === "watch") this.#watch(port, members, data);
      else if (type === "taken") members.get(id)?.taken(data.count);
      else if (type === "end") members.get(id)?.end();
      else if (type === "alive") this.#guard(port, data.lock);
      else if (type === "bye") this.#detach(port);
    };
    port.postMessage({ type: "welcome" });
    if (this.#tabs.size === 1) this.#beatLater();
  }

  /** Tells the tabs now and then that there is still somebody: a worker may be killed, and nothing says so. */
  #beatLater() {
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => {
      for (const port of this.#tabs.keys()) port.postMessage({ type: "beat" });
      if (this.#tabs.size > 0) this.#beatLater();
    }, BEAT);
  }

  /** Notices that a tab is gone which could not say so: the lock that it held becomes free. */
  #guard(port, lock) {
    globalThis.navigator?.locks?.request(lock, () => this.#detach(port));
  }

  #detach(port) {
    for (const member of this.#tabs.get(port)?.values() ?? []) member.end();
    this.#tabs.delete(port);
    if (this.#tabs.size === 0) clearTimeout(this.#beat);
    port.close();
  }

  #follow(port, members, { id, job, after }) {
    const name = new URL(job).pathname.split("/").pop();
    if (!this.#jobs.has(name)) this.#jobs.set(name, new Set());
    const followers = this.#jobs.get(name);
    const ended = () => {
      members.delete(id);
      followers.delete(follower);
      if (followers.size === 0) this.#forget(name);
    };
    const tell = (message) => port.postMessage({ ...message, id });
    const follower = new Follower(new URL(job), { ...this.#options, after }, tell, ended);
    members.set(id, follower);
    followers.add(follower);
    // At once, since the job may be over. What happens until the stream is there is read when it is.
    follower.catchUp();
    const substitute = this.#substitutes.get(name);
    if (substitute !== undefined) follower.begin(substitute.transport);
    else if (this.#streams(name)) follower.begin("sse");
    else this.#openSoon(TOGETHER);
  }

  #watch(port, members, { id, after }) {
    const ended = () => {
      members.delete(id);
      this.#watchers.delete(watcher);
      this.#endIfIdle();
    };
    const tell = (message) => port.postMessage({ ...message, id });
    const rejoin = () => this.#openSoon(TOGETHER);
    const watcher = new Watcher(after ?? null, tell, rejoin, ended);
    members.set(id, watcher);
    this.#watchers.add(watcher);
    if (this.#stream?.named === null && this.#transport === "sse" && watcher.isAt(this.#cursor)) watcher.begin("sse");
    else this.#openSoon(TOGETHER);
  }

  #forget(name) {
    this.#jobs.delete(name);
    this.#substitutes.get(name)?.ending.abort();
    this.#substitutes.delete(name);
    this.#endIfIdle();
  }

  #endIfIdle() {
    if (this.#jobs.size > 0 || this.#watchers.size > 0) return;
    this.#stream?.ending.abort();
    this.#stream = null;
    this.#transport = null;
    // Whoever comes next reads its history anyway.
    this.#cursor = "now";
  }

  /** Whether events of this job come by the stream. */
  #streams(name) {
    const stream = this.#stream;
    return this.#transport === "sse" && stream !== null && (stream.named === null || stream.named.has(name));
  }

  /** Opens the stream after so many milliseconds, or before that if it is to be opened earlier anyway. */
  #openSoon(milliseconds) {
    const at = Date.now() + milliseconds;
    if (this.#timer !== null && this.#opensAt <= at) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), milliseconds);
    this.#opensAt = at;
  }

  /** Opens the stream for all that is followed now, in place of the one before. */
  #open() {
    this.#timer = null;
    this.#stream?.ending.abort();
    this.#stream = null;
    if (this.#jobs.size === 0 && this.#watchers.size === 0) return;
    const isForAll = this.#watchers.size > 0 || this.#jobs.size > MOST_NAMED;
    this.#stream = { named: isForAll ? null : new Set(this.#jobs.keys()), ending: new AbortController() };
    // Whoever has seen more drops what it has seen.
    for (const { cursor, hasRoom } of this.#watchers) {
      if (hasRoom && positionOf(cursor) < positionOf(this.#cursor)) this.#cursor = cursor;
    }
    this.#read(this.#stream);
  }

  async #read(stream) {
    const { named, ending } = stream;
    const options = { ...this.#options, after: this.#cursor, jobs: named === null ? null : [...named] };
    const reading = new LogReading(this.#base, options, () => {});
    try {
      for await (const update of new Ladder(reading, ["sse"], ending.signal).updates()) {
        if (ending.signal.aborted) return;
        this.#cursor = reading.cursor;
        if (update.kind === "transport") this.#changed(update.transport);
        else this.#deliver(update, reading.cursor);
      }
      // All of its jobs are over. Who has not seen that yet reads it.
      this.#catchUp();
    } catch (error) {
      if (ending.signal.aborted) return;
      this.#refused(error, reading.cursor);
    }
    if (this.#stream === stream) this.#stream = null;
  }

  /** What comes of a stream that was refused when it was asked for after this cursor. */
  #refused(error, cursor) {
    this.#cursor = "now";
    // A problem is that of the watchers whose place was asked for. The others are at places of their own.
    const isConcerned = (watcher) => !(error instanceof ProblemError) || watcher.cursor === cursor;
    const concerned = [...this.#watchers].filter(isConcerned);
    for (const watcher of concerned) watcher.fail(error);
    if (concerned.length > 0) return this.#openSoon(TOGETHER);
    // No job that is asked for may be known. Each follower finds out for itself what that means to it, and for those
    // that are left it is tried again.
    this.#changed(null);
    this.#openSoon(REFUSED);
  }

  /** The stream works, or it does not any more. */
  #changed(transport) {
    for (const { ending } of this.#substitutes.values()) ending.abort();
    this.#substitutes.clear();
    this.#transport = transport;
    if (transport === null) for (const [name, followers] of this.#jobs) this.#substitute(name, followers);
    for (const member of [...this.#followers(), ...this.#watchers]) member.begin(transport);
  }

  /** Reads one job by polls, while the stream is dead. */
  async #substitute(name, followers) {
    const ending = new AbortController();
    const substitute = { transport: null, ending };
    this.#substitutes.set(name, substitute);
    const transports = this.#jobs.size > MOST_HELD ? ["short-poll"] : ["long-poll", "short-poll"];
    const [{ reading }] = followers;
    try {
      for await (const update of new Ladder(reading.copy(), transports, ending.signal).updates()) {
        if (update.kind === "event") for (const follower of followers) follower.deliver(update);
        else if (update.kind === "gap") for (const follower of followers) follower.catchUp();
        else {
          substitute.transport = update.transport;
          for (const follower of followers) follower.begin(update.transport);
        }
      }
    } catch {
      // Its followers find out by themselves.
    }
    if (!ending.signal.aborted) for (const follower of followers) follower.catchUp();
  }

  #deliver(update, cursor) {
    for (const watcher of this.#watchers) watcher.deliver(update, cursor);
    if (update.kind === "gap") return this.#catchUp();
    for (const follower of this.#jobs.get(update.event.job) ?? []) follower.deliver(update);
  }

  #catchUp() {
    for (const follower of this.#followers()) follower.catchUp();
  }

  #followers() {
    return [...this.#jobs.values()].flatMap((followers) => [...followers]);
  }
}
