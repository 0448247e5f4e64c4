// The types of tidings.js. What goes over the wire is in docs/WIRE.md of Tidings' repository.

export type TransportName = "sse" | "long-poll" | "short-poll";
export type State = "queued" | "running" | "succeeded" | "failed" | "cancelled";

/** One thing that happened to a job. */
export interface Event {
  /** The job's id. */
  job: string;
  /** Its number within the job: 1, 2, 3, … without a hole. */
  seq: number;
  /** Names the event: to give as `after` to a later `follow`. Opaque. */
  cursor: string;
  /** RFC 3339, in UTC. */
  time: string;
  /**
   * `queued`, `started`, `progress`, `log`, `cancelling`, `succeeded`, `failed`, `cancelled`, or a name of the host's
   * own.
   */
  type: string;
  data: any;
}

export interface Progress {
  done: number;
  total: number | null;
  unit: string | null;
  message: string | null;
}

/** A job as of one event. */
export interface Job {
  id: string;
  kind: string;
  state: State;
  seq: number;
  cursor: string;
  attempt: number;
  /** Not in lists. */
  input?: any;
  progress: Progress | null;
  /** Not in lists. */
  result?: any;
  error: { code: string; message: string } | null;
  cancel_requested: boolean;
  created_at: string;
  started_at: string | null;
  updated_at: string;
  finished_at: string | null;
  links: Record<string, any>;
}

/** Events that are no longer kept. */
export interface Gap {
  /** The number in the cursor that was asked with: what is lost begins after it. */
  requested: number;
  /** The number of the event that comes next. */
  resumed_at: number;
  /** The job as of its own `seq`: events up to that are already in it. */
  job: Job;
}

/** What `follow` yields. The transport is the one that the update came over. */
export type Update =
  | { kind: "event"; event: Event; transport: TransportName }
  | { kind: "gap"; gap: Gap; transport: TransportName }
  /**
   * What follows comes over this transport: the first choice, or one that was changed to. Null: none works just now.
   */
  | { kind: "transport"; transport: TransportName | null };

/** What `followAll` yields. */
export type LogUpdate =
  | { kind: "event"; event: Event; transport: TransportName }
  /** The numbers are positions in the whole log; `jobs` are those that lost events, as they are now. */
  | { kind: "gap"; gap: { requested: number; resumed_at: number; jobs: Job[] }; transport: TransportName }
  | { kind: "transport"; transport: TransportName | null };

/** What was sent and received by one `follow` so far. */
export interface Traffic {
  requests: number;
  /** Of the answers' bodies, as `fetch` gives them. */
  bytes: number;
  /** Over which transport the last of it went. */
  transport: TransportName;
}

export interface FollowOptions {
  /** Ends it; the iteration throws the signal's reason. */
  signal?: AbortSignal;
  /** The transports to use, the first choice first. All of them, in the order above, by default. */
  transports?: TransportName[];
  /** Milliseconds between two short polls; by default what the server asks for. */
  interval?: number;
  /** Milliseconds until it ends with a `DOMException` named `TimeoutError`. Never by default. */
  timeout?: number;
  /** The cursor of the last event that the caller has seen. By default it begins at the first event. */
  after?: string;
  /** Called before the update is yielded. What it throws, the iteration throws. */
  onEvent?(event: Event, transport: TransportName): void;
  onGap?(gap: Gap, transport: TransportName): void;
  onTransport?(transport: TransportName | null): void;
  /** Called for each request and for each piece of an answer, with the totals so far. */
  onTraffic?(traffic: Traffic): void;
  /** What requests are sent with: `globalThis.fetch` by default. */
  fetch?: typeof fetch;
  /**
   * How streams are read. Over `fetch` by default: the browser's own `EventSource` shows neither heartbeats nor why a
   * stream was refused, so a request has to ask now and then, beside it, whether something is held back.
   */
  eventSource?: "fetch" | "native";
  /**
   * Whether all tabs of the origin share one connection, over a SharedWorker. By default they do where there are such
   * workers, unless `transports`, `interval`, `eventSource`, `onTraffic` or `fetch` is given: these concern one reader.
   */
  shared?: boolean;
}

export interface FollowAllOptions extends Omit<FollowOptions, "transports" | "interval" | "eventSource" | "onGap"> {
  /**
   * The position to begin after: `cursor` of a list, or `now`. By default it begins with the first event that is kept.
   */
  after?: string;
  /** The ids of the jobs to follow, at most 100. It ends once they are all over. These readers share nothing. */
  jobs?: string[];
  /** The kind of the jobs to follow. These readers share nothing. */
  kind?: string;
  onGap?(gap: { requested: number; resumed_at: number; jobs: Job[] }, transport: TransportName): void;
}

/**
 * The updates of a job, in order. It begins with the first `next()`, reads on only as it is asked to, and ends after
 * the job's last event. `break`, `return()`, the signal and the timeout cancel whatever is under way.
 */
export interface Updates<U = Update> extends AsyncIterableIterator<U> {
  /** Reads to the end, for callers who only use callbacks. Gives the last event that came, or null. */
  toEnd(): Promise<Event | null>;
}

/**
 * Follows a job: every event once, in order, over the best transport that works.
 *
 * What another try may mend is tried again, with growing pauses. What it would not mend ends the iteration with a
 * `ProblemError`: a job that is not known, a cursor of another history, a missing permission.
 *
 * @param url the job's, as in `Location` or `links.self`; relative to the page
 */
export function follow(url: string | URL, options?: FollowOptions): Updates;

/**
 * Follows all jobs, or some, in the order in which things happen, over one stream. While that does not work there is
 * nothing in its place: it says so with the transport null, and goes on from where it was as soon as it does again.
 *
 * @param url where the server is: what `/events` lies below
 */
export function followAll(url: string | URL, options?: FollowAllOptions): Updates<LogUpdate>;

/**
 * Calls `fn` every `interval` milliseconds (10,000 by default) after the end of the call before, whether that failed or
 * not, until `cancel` is called or `timeout` milliseconds have passed since the first `step()`. Never two calls at
 * once.
 *
 * @returns `step` begins (the first call comes after an interval), `cancel` ends it
 */
export function createPolling(
  fn: (cancel: () => void) => unknown,
  interval?: number,
  timeout?: number,
): { step: () => void; cancel: () => void };

/** What the server says is wrong, where another try would not mend it. */
export class ProblemError extends Error {
  /** The status of the answer. */
  readonly status: number;
  /** The name after `urn:tidings:problem:`, such as `unknown-job`; null where the answer gives none. */
  readonly problem: string | null;
}

export interface RequestOptions {
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

/**
 * Submits a job. It is sent again where no answer comes, and is one job nevertheless: by an `Idempotency-Key`, which is
 * drawn at random unless one is given.
 *
 * @param base where the server is: what `/jobs` lies below
 */
export function submit(
  base: string | URL,
  submission: { kind: string; input?: any },
  options?: RequestOptions & { idempotencyKey?: string },
): Promise<Job>;

/** A job as it is now. */
export function get(jobUrl: string | URL, options?: RequestOptions): Promise<Job>;

/** A page of the jobs, newest first. `next` of one is the `page` of the next one. */
export function list(
  base: string | URL,
  filter?: { state?: State; kind?: string; limit?: number; page?: string },
  options?: RequestOptions,
): Promise<{ jobs: Job[]; cursor: string; next: string | null }>;

/** Asks that a job be cancelled, and gives it as it is then. */
export function cancel(jobUrl: string | URL, reason?: string, options?: RequestOptions): Promise<Job>;

/** The transports that the server offers: `{name, …}` each, a broker's with `status` and `lag`. */
export function transports(
  base: string | URL,
  options?: RequestOptions,
): Promise<{ name: string; [key: string]: any }[]>;
