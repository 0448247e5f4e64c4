// Polling of anything, not only of Tidings.

/** Calls a function again and again. `tidings.d.ts` says how. */
export function createPolling(fn, interval = 10_000, timeout = undefined) {
  let timer = null;
  let started = null;
  let running = false;
  let cancelled = false;

  const cancel = () => {
    cancelled = true;
    clearTimeout(timer);
    timer = null;
  };

  const run = async () => {
    timer = null;
    if (timeout !== undefined && Date.now() - started >= timeout) return cancel();
    running = true;
    try {
      await fn(cancel);
    } catch {
      // Whether a call fails or not, the next one comes: who wants to end the polling cancels it.
    } finally {
      running = false;
    }
    step();
  };

  const step = () => {
    // Never two calls at once, nor two that wait.
    if (cancelled || running || timer !== null) return;
    started ??= Date.now();
    timer = setTimeout(run, interval);
  };

  return { step, cancel };
}
