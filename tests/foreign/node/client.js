// client.js - publishes and subscribes with @grpc/grpc-js as fast as it goes, and prints what it counted as
// one JSON object. The arguments are NAME=VALUE, see `settings`; `protos` is the folder of the .proto files.
"use strict";
const { once } = require("node:events");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

// window, keepalive: 0 is the library's default.
const settings = { address: "", protos: "", name: "node", seconds: 10, pack: 64, overflow: "block",
  window: 0, keepalive: 0 };
for (const argument of process.argv.slice(2)) {
  const [name, value] = argument.split("=");
  settings[name] = typeof settings[name] === "number" ? Number(value) : value;
}

const { v1 } = grpc.loadPackageDefinition(loader.loadSync(
  ["publisher", "subscriber"].map((name) => `tributary/v1/${name}.proto`),
  { includeDirs: [settings.protos], keepCase: true, longs: Number })).tributary;

// Each client has a connection of its own.
function connect(Client) {
  const options = { "grpc.use_local_subchannel_pool": 1 };
  if (settings.keepalive) {
    options["grpc.keepalive_time_ms"] = settings.keepalive * 1000;
    options["grpc.keepalive_permit_without_calls"] = 1;
  }
  if (settings.window) options["grpc-node.flow_control_window"] = settings.window;
  return new Client(settings.address, grpc.credentials.createInsecure(), options);
}

// Counts the events that arrive and those that are lost.
async function subscribe(client, counts) {
  const buffer = settings.overflow === "block"
    ? { overflow: "OVERFLOW_BLOCK", block_timeout: { seconds: 30 } } : {};
  const stream = client.Subscribe({ selectors: [{ producer: settings.name }], buffer });
  const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  ended.catch(() => {}); // the caller waits for it later
  const [first] = await once(stream, "data");
  stream.on("data", (batch) => {
    for (const run of batch.runs ?? []) counts.received += run.events.length;
    for (const lost of batch.lost ?? []) counts.lost += lost.count;
  });
  return { id: first.started.subscription_id, ended };
}

// Sends messages until the time is over, and reads every answer.
async function publish(client, counts) {
  const stream = client.PublishStream();
  const ended = new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject));
  ended.catch(() => {}); // awaited below
  let confirmed = 0;
  stream.on("data", (answer) => {
    if (answer.refused?.length) stream.destroy(new Error(`refused: ${JSON.stringify(answer.refused[0])}`));
    confirmed = answer.confirmed_batch;
  });
  const event = { topic: "foreign", data: Buffer.alloc(128) };
  const request = { producer: settings.name, events: Array(settings.pack).fill(event) };
  const until = Date.now() + settings.seconds * 1000;
  while (Date.now() < until) {
    counts.published += settings.pack;
    if (!stream.write(request)) await Promise.race([once(stream, "drain"), ended]);
  }
  stream.end();
  await ended;
  counts.confirmed = confirmed * settings.pack;
}

async function main() {
  const counts = { published: 0, confirmed: 0, received: 0, lost: 0 };
  const subscriber = connect(v1.Subscriber);
  const publisher = connect(v1.Publisher);
  const subscription = await subscribe(subscriber, counts);
  const began = Date.now();
  await publish(publisher, counts);
  counts.seconds = (Date.now() - began) / 1000;
  await new Promise((resolve, reject) => {
    subscriber.Finish({ subscription_id: subscription.id, drain: { seconds: 30 } },
      (error) => (error ? reject(error) : resolve()));
  });
  await subscription.ended;
  console.log(JSON.stringify(counts));
  publisher.close();
  subscriber.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
