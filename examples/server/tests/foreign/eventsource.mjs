// Follows a job by npm's `eventsource` until the server says that there is no more, and prints each event's JSON.
//
// Usage: node eventsource.mjs URL
import { EventSource } from "eventsource";

const TYPES = ["queued", "started", "progress", "log", "cancelling", "succeeded", "failed", "cancelled"];

const source = new EventSource(process.argv[2]);
for (const type of TYPES) source.addEventListener(type, (event) => console.log(event.data));
source.addEventListener("error", (error) => {
  // A stream that ended is asked for again; it is the `204` of the next one that ends it for good.
  if (source.readyState === EventSource.CLOSED && error.code !== 204) throw new Error(error.message);
});
