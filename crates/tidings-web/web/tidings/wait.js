// Waiting between two tries.

const [FIRST_PAUSE, LONGEST_PAUSE] = [1000, 30_000];

/**
 * Waits, or throws what the signal is aborted with.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener("abort", wake);
  });
}

/**
 * How long to wait after so many failures in a row, in milliseconds: anything up to a bound that doubles, so that
 * clients that failed together do not come back together.
 *
 * @param {number} failures at least 1
 */
export function pause(failures) {
  return Math.random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1));
}
