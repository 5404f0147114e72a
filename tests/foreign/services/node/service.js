// service.js - serves the health service of grpc-health-check as it is.
//
// The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
// streaming calls that are open. Each line of the input is the new status of the service "orders".
"use strict";
const readline = require("node:readline");
const grpc = require("@grpc/grpc-js");
const { HealthImplementation } = require("grpc-health-check");

let count = 0;

function add(change) {
  count += change;
  console.log(count);
}

function openCalls(method, call) {
  if (!method.responseStream) return new grpc.ServerInterceptingCall(call);
  let open = true;
  const end = () => {
    if (open) add(-1);
    open = false;
  };
  add(1);
  return new grpc.ServerInterceptingCall(call, {
    start: (next) => next(new grpc.ServerListenerBuilder().withOnCancel(end).build()),
    sendStatus: (status, next) => {
      end();
      next(status);
    },
  });
}

const server = new grpc.Server({ interceptors: [openCalls] });
const service = new HealthImplementation();
service.addToServer(server);
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
  readline.createInterface({ input: process.stdin })
    .on("line", (status) => service.setStatus("orders", status))
    .on("close", () => process.exit(0));
});
