/** The state of a job as its events tell it. Pure. */

/**
 * A job after one more event. Events that the job already holds change nothing.
 *
 * @param {object} job a snapshot
 * @param {object} event
 * @returns {object} another snapshot, or the same one
 */
export function fold(job, event) {
  if (event.seq <= job.seq) return job;
  const next = { ...job, seq: event.seq, cursor: event.cursor, updated_at: event.time };
  const { type, data, time } = event;
  switch (type) {
    case "started":
      return { ...next, state: "running", attempt: data.attempt, started_at: time };
    case "progress":
      return { ...next, progress: data };
    case "cancelling":
      return { ...next, cancel_requested: true };
    case "succeeded":
      return { ...next, state: type, result: data.result, finished_at: time };
    case "failed":
      return { ...next, state: type, error: data.error, finished_at: time };
    case "cancelled":
      return { ...next, state: type, finished_at: time };
    default:
      return next;
  }
}

/** A job that nothing but its first event is known of. */
export function begun(event) {
  const { kind, input } = event.data;
  return {
    id: event.job, kind, input, state: "queued", seq: event.seq, cursor: event.cursor, attempt: 1,
    progress: null, result: null, error: null, cancel_requested: false,
    created_at: event.time, started_at: null, updated_at: event.time, finished_at: null,
  };
}
