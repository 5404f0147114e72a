// reasons.js - how a call ends for @grpc/grpc-js. ../reasons says what it reads and writes. `protos` is the
// folder of the .proto files.
"use strict";
const readline = require("node:readline");
const grpc = require("@grpc/grpc-js");
const protobuf = require("protobufjs");

const settings = { address: "", protos: "", method: "", seconds: 0, metadata: 0, gzip: "" };
for (const argument of process.argv.slice(2)) {
  const [name, ...value] = argument.split("=");
  settings[name] = typeof settings[name] === "number" ? Number(value.join("=")) : value.join("=");
}

const types = new protobuf.Root();
types.resolvePath = (_, file) => (file.startsWith("google/protobuf/") ? file : `${settings.protos}/${file}`);
types.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);
const Details = types.lookupType("google.rpc.Status");
const ErrorInfo = types.lookupType("google.rpc.ErrorInfo");

// What the library says of the end of a call.
function ending(status) {
  const result = { code: status.code, message: status.details, reason: "", domain: "", metadata: {}, parts: [],
    details_message: "" };
  const [bytes] = status.metadata.get("grpc-status-details-bin");
  if (bytes) {
    const details = Details.decode(bytes);
    result.details_message = details.message;
    for (const part of details.details) {
      const name = part.type_url.split("/").pop();
      result.parts.push(name);
      if (name === "google.rpc.ErrorInfo") {
        const { reason, domain, metadata } = ErrorInfo.decode(part.value);
        Object.assign(result, { reason, domain, metadata: { ...metadata } });
      }
    }
  }
  return result;
}

const same = (bytes) => bytes;
const options = settings.gzip ? { "grpc.default_compression_algorithm": 2 } : {};
const client = new grpc.Client(settings.address, grpc.credentials.createInsecure(), options);
const metadata = new grpc.Metadata();
if (settings.metadata) metadata.set("padding", "x".repeat(settings.metadata));
const call = client.makeBidiStreamRequest(settings.method, same, same, metadata,
  settings.seconds ? { deadline: Date.now() + settings.seconds * 1000 } : {});
const status = new Promise((resolve) => call.on("status", resolve));
call.on("error", () => {}); // it is in the status too

function print(line) {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, resolve));
}

// Prints the next answer, or how the call ended; then the process is over.
async function answer() {
  for (;;) {
    const message = call.read();
    if (message !== null) return print(`answer ${message.toString("base64")}`);
    if (call.readableEnded) break;
    await new Promise((resolve) => call.once("readable", resolve).once("end", resolve));
  }
  await print(`end ${JSON.stringify(ending(await status))}`);
  process.exit(0);
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, rest] = line.split(" ");
    if (verb === "send") call.write(Buffer.from(rest, "base64"));
    if (verb === "close") call.end();
    if (verb === "answer") await answer();
    while (verb === "read") await answer();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
