// topics.js - publishes to a stored topic, and reads it, with @grpc/grpc-js. ../topics says what it reads and
// writes. `protos` is the folder of the .proto files.
//
// A Number holds 53 bits, and an epoch has 61: 64-bit fields are strings here.
"use strict";
const { randomBytes } = require("node:crypto");
const readline = require("node:readline");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const WINDOW = 16; // batches without an answer
const PACK = 7; // events of a batch
const PAUSE = 2; // ms between two batches
const BEAT = { nanos: 200000000 };

const settings = {};
for (const argument of process.argv.slice(2)) {
  const [name, ...value] = argument.split("=");
  settings[name] = value.join("=");
}

const { v1 } = grpc.loadPackageDefinition(loader.loadSync(
  ["publisher", "subscriber"].map((name) => `tributary/v1/${name}.proto`),
  { includeDirs: [settings.protos], keepCase: true, longs: String, enums: String, defaults: true })).tributary;
const types = new protobuf.Root();
types.resolvePath = (_, file) => (file.startsWith("google/protobuf/") ? file : `${settings.protos}/${file}`);
types.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);
const Details = types.lookupType("google.rpc.Status");
const ErrorInfo = types.lookupType("google.rpc.ErrorInfo");

function connect(Client) {
  return new Client(settings.address, grpc.credentials.createInsecure(),
    { "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 200 });
}

const patient = () => new grpc.Metadata({ waitForReady: true });

// What the library says of the end of a call.
function ending(error) {
  const result = { code: error.code, message: error.details };
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  for (const part of bytes ? Details.decode(bytes).details : []) {
    if (part.type_url.split("/").pop() !== "google.rpc.ErrorInfo") continue;
    const { reason, domain, metadata } = ErrorInfo.decode(part.value);
    Object.assign(result, { reason, domain, metadata: { ...metadata } });
  }
  return result;
}

// Whether a stream ended well. Throws where it ended otherwise than by a lost server.
function endedWell(error) {
  if (error && error.code !== grpc.status.UNAVAILABLE) throw error;
  return !error;
}

// The end of a stream: null, or the error.
function end(stream) {
  return new Promise((resolve) => stream.on("error", resolve).on("end", () => resolve(null)));
}

// Numbers its events, and sends what was not confirmed again after a stream was lost.
async function publish() {
  const client = connect(v1.Publisher);
  const id = randomBytes(16);
  const life = `${BigInt(Date.now()) * 1000000n}`;
  const result = { confirmed: 0, reconnects: 0, duplicates: 0, again: 0, gap: null };
  let unconfirmed = []; // the first number of each batch
  let next = 1;
  let stopping = false;
  process.stdin.resume().on("end", () => { stopping = true; });

  const request = (first) => ({
    events: Array.from({ length: PACK }, (_, i) => (
      { topic: settings.topic, data: Buffer.from(`${settings.name} ${first + i}`) })),
    producer: settings.name, confirm: "CONFIRM_STORED", publisher: { id, first_number: first, life } });

  async function once() {
    const stream = client.PublishStream(patient());
    let sent = 0;
    let handled = 0;
    let duplicates = 0;
    let failure = null;
    stream.on("data", (answer) => {
      if (answer.refused.length) failure = new Error(`refused: ${JSON.stringify(answer.refused[0])}`);
      const count = Number(answer.confirmed_batch) - handled;
      unconfirmed = unconfirmed.slice(count);
      result.confirmed += count * PACK;
      handled += count;
      duplicates = Number(answer.duplicates);
    });
    const ticker = setInterval(() => {
      // The first batch of a life goes alone.
      const inFlight = sent - handled;
      if (failure) stream.cancel();
      if (inFlight >= (result.confirmed ? WINDOW : 1)) return;
      if (inFlight === unconfirmed.length && !stopping) {
        unconfirmed.push(next);
        next += PACK;
      }
      if (inFlight < unconfirmed.length) {
        stream.write(request(unconfirmed[inFlight]));
        sent += 1;
      } else if (!unconfirmed.length) {
        stream.end();
      }
    }, PAUSE);
    const error = await end(stream);
    clearInterval(ticker);
    result.duplicates += duplicates;
    return endedWell(failure ?? error);
  }

  while (!await once()) result.reconnects += 1;
  // A batch that is stored already, and one behind a gap.
  const stream = client.PublishStream();
  stream.on("data", (answer) => {
    result.again = Number(answer.duplicates);
    for (const { batch, code, reason, message } of answer.refused) {
      result.gap = { batch: Number(batch), code, reason, message };
    }
  });
  stream.write(request(next - PACK));
  stream.write(request(next + 10));
  stream.end();
  if (!endedWell(await end(stream))) throw new Error("the server was lost");
  client.close();
  return result;
}

function subscribeRequest(start, more = {}) {
  return { selectors: [{ producer: `@${settings.topic}` }], start, heartbeat_interval: BEAT, ...more };
}

// Reads a topic from its first event on, and resumes when a stream was lost.
async function read() {
  const client = connect(v1.Subscriber);
  const result = { events: [], caught_up: [], epoch: "0", resumed: 0, repeated: 0, lost: 0 };
  let until = 0;
  let token = Buffer.alloc(0);
  readline.createInterface({ input: process.stdin }).once("line", (line) => { until = Number(line); });

  // By turns the newest token, and the newest token with the position of the last event.
  function start() {
    if (!token.length) return { earliest: {} };
    result.resumed += 1;
    if (result.resumed % 2) return { resume: token };
    const here = { source: `@${settings.topic}`, epoch: result.epoch, sequence: result.events.length };
    return { positions: { resume_token: token, positions: result.events.length ? [here] : [] } };
  }

  function add(run, isExact) {
    result.epoch = run.epoch;
    run.events.forEach((event, i) => {
      const row = [Number(run.first_sequence) + i, run.origin, event.data.toString()];
      if (row[0] > result.events.length) {
        result.events.push(row);
        return;
      }
      result.repeated += 1;
      if (isExact || `${result.events[row[0] - 1]}` !== `${row}`) throw new Error(`repeated: ${row}`);
    });
  }

  async function once() {
    const from = start();
    const stream = client.Subscribe(subscribeRequest(from), patient());
    let isCaughtUp = false;
    let isDone = false;
    stream.on("data", (batch) => {
      result.lost += batch.lost.length;
      for (const run of batch.runs) add(run, "positions" in from);
      for (const { epoch, sequence } of batch.caught_up) {
        isCaughtUp = true;
        result.caught_up.push([epoch, Number(sequence)]);
      }
      for (const each of [batch.started?.resume_token, batch.progress?.resume_token]) {
        if (each?.length) token = each;
      }
      if (isCaughtUp && until && result.events.length >= until) {
        isDone = true;
        stream.cancel();
      }
    });
    const error = await end(stream);
    return isDone || endedWell(error);
  }

  while (!await once());
  client.close();
  return result;
}

// Starts at sequence 1, which is not kept, and then where the error says.
async function belowTheFirst() {
  const client = connect(v1.Subscriber);
  const refused = client.Subscribe(subscribeRequest({ sequence: 1 }));
  refused.resume();
  const result = { end: ending(await end(refused)), sequences: [] };
  const first = result.end.metadata.bound.split(" ").pop();
  const stream = client.Subscribe(subscribeRequest({ sequence: first }, { end_when: "END_WHEN_CAUGHT_UP" }));
  stream.on("data", (batch) => {
    for (const run of batch.runs) {
      result.sequences.push(...run.events.map((_, i) => Number(run.first_sequence) + i));
    }
  });
  if (!endedWell(await end(stream))) throw new Error("the server was lost");
  client.close();
  return result;
}

const modes = { publish, read, trimmed: belowTheFirst };
modes[settings.mode]().then((result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}, (error) => {
  console.error(error);
  process.exit(1);
});
