// What can go wrong with a request, by what is to be done about it.

/** What the server says is wrong, where another try would not mend it. */
export class ProblemError extends Error {
  name = "ProblemError";

  /**
   * @param {number} status of the answer
   * @param {string | null} problem the name after `urn:tidings:problem:`, null where the answer gives none
   * @param {string} detail for people
   */
  constructor(status, problem, detail) {
    super(`${problem ?? `status ${status}`}: ${detail}`);
    this.status = status;
    this.problem = problem;
    this.detail = detail;
  }
}

/** Another try may mend it. */
export class Lost extends Error {
  name = "Lost";

  /**
   * @param {string} message
   * @param {{cause?: unknown, retryAfter?: number | null}} [more] `retryAfter`: milliseconds that the server asked for
   */
  constructor(message, { cause, retryAfter = null } = {}) {
    super(message, { cause });
    this.retryAfter = retryAfter;
  }
}

/** Nothing came in time, so something in between holds it back: another transport may do better. */
export class Silent extends Lost {
  name = "Silent";
}

/** An answer broke off in the middle. */
export class Cut extends Lost {
  name = "Cut";
}

/** The server does not offer this transport. */
export class NotOffered extends Error {
  name = "NotOffered";

  /** @param {ProblemError} cause what to say where no transport is left */
  constructor(cause) {
    super(cause.message, { cause });
  }
}

const PREFIX = "urn:tidings:problem:";

/**
 * What an answer says that is not the one hoped for.
 *
 * @param {number} status
 * @param {Headers} headers
 * @param {string} body
 * @returns {Lost | NotOffered | ProblemError}
 */
export function refusal(status, headers, body) {
  let [problem, detail] = [null, "the server does not say more"];
  try {
    const told = JSON.parse(body);
    if (String(told.type).startsWith(PREFIX)) problem = told.type.slice(PREFIX.length);
    detail = String(told.detail ?? told.title ?? detail);
  } catch {
    // What is no JSON comes from somebody in between, and is not for people to read.
  }
  const error = new ProblemError(status, problem, detail);
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return new Lost(error.message, { cause: error, retryAfter: retryAfter(headers) });
  }
  // A job that is not known is another thing.
  if ((status === 404 && problem === "not-found") || status === 406) return new NotOffered(error);
  return error;
}

/**
 * The milliseconds that an answer asks to wait (RFC 9110, 10.2.3), or null.
 *
 * @param {Headers} headers
 */
export function retryAfter(headers) {
  const value = headers.get("retry-after");
  if (value === null) return null;
  if (/^[0-9]+$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}
