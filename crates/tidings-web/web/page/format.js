/** Numbers, times and names as people read them. Pure functions. */

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE);
const oneDecimal = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });

export const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

/** `12,345` */
export function count(number) {
  return whole.format(number);
}

/** `3 lines`, `1 line` */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** `1.2 kB`, in steps of 1,000. */
export function bytes(number) {
  if (number < 1000) return `${number} B`;
  return number < 1_000_000 ? `${oneDecimal.format(number / 1000)} kB` : `${oneDecimal.format(number / 1_000_000)} MB`;
}

/** A delay: `12 ms`, `1.3 s`. */
export function delay(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${oneDecimal.format(ms / 1000)} s`;
}

/** How long something took: `0.4 s`, `12.3 s`, `3 min 12 s`, `2 h 5 min`. */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 60) return `${oneDecimal.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The time of day, and before it the day where it is not today. */
export function time(iso) {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** How long a job has run, or took; null where it has not begun. */
export function took(job, now = Date.now()) {
  if (!job.started_at) return null;
  const end = job.finished_at ? Date.parse(job.finished_at) : now;
  return end - Date.parse(job.started_at);
}

/** The part of an id that tells jobs of one minute apart: a UUID of version 7 begins with the time. */
export function shortId(id) {
  return id.slice(-8);
}

/** What a job is called: its pipeline where it names one, else its kind. */
export function title(job) {
  const pipeline = job.input?.pipeline;
  return typeof pipeline === "string" && pipeline ? pipeline : job.kind;
}

/** How far a job is, from 0 to 1; null where nobody knows. */
export function fraction(job) {
  if (job.state === "succeeded") return 1;
  const { done, total } = job.progress ?? {};
  return total > 0 ? Math.min(1, done / total) : null;
}

/** How far a job is and what it does, in words: `2 of 4 steps · test`. */
export function doing(job) {
  if (job.state === "failed") return job.error?.message ?? "";
  if (job.cancel_requested && !TERMINAL.has(job.state)) return "stopping";
  const progress = job.progress;
  if (!progress) return "";
  const { done, total = null, unit, message } = progress;
  const isPercent = unit === "%" && (total === null || total === 100);
  const of = total === null ? "" : ` of ${count(total)}`;
  const amount = isPercent ? `${count(done)} %` : `${count(done)}${of}${unit ? ` ${unit}` : ""}`;
  return message ? `${amount} · ${message}` : amount;
}

/** How long a line of JSON may get before it is broken: characters. */
const LINE = 76;

/** JSON for people: what fits on a line is on one. */
export function json(value, indent = "") {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (Object.keys(value).length === 0) return open + close;
  const members = (deeper) => Object.entries(value).map(
    ([key, inner]) => (isList ? "" : `${JSON.stringify(key)}: `) + json(inner, deeper),
  );
  const flat = isList ? `[${members("").join(", ")}]` : `{ ${members("").join(", ")} }`;
  if (indent.length + flat.length <= LINE && !flat.includes("\n")) return flat;
  const deeper = `${indent}  `;
  return `${open}\n${deeper}${members(deeper).join(`,\n${deeper}`)}\n${indent}${close}`;
}
