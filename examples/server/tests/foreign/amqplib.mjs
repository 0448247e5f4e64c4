// Submits a job through a queue by npm's `amqplib`, follows it over the broker, and prints each event's JSON.
//
// Usage: node amqplib.mjs BROKER EXCHANGE JOBS_QUEUE SUBMISSION
import amqp from "amqplib";

const [broker, exchange, jobs, submission] = process.argv.slice(2);
const connection = await amqp.connect(broker);
const channel = await connection.createChannel();

// Bound before the job is there, so that none of its events is missed.
const { queue: events } = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(events, exchange, `${JSON.parse(submission).kind}.#`);
const { queue: replies } = await channel.assertQueue("", { exclusive: true });

const replied = new Promise((resolve, reject) => {
  const taken = (reply) => {
    const job = JSON.parse(reply.content);
    reply.properties.correlationId === "ours" && job.id ? resolve(job.id) : reject(new Error(`${reply.content}`));
  };
  channel.consume(replies, taken, { noAck: true });
});
channel.sendToQueue(jobs, Buffer.from(submission), { replyTo: replies, correlationId: "ours", persistent: true });
const job = await replied;

await channel.prefetch(10);
await channel.consume(events, (message) => {
  const event = JSON.parse(message.content);
  channel.ack(message);
  if (event.job !== job) return;
  console.log(message.content.toString());
  if (["succeeded", "failed", "cancelled"].includes(event.type)) connection.close();
});
