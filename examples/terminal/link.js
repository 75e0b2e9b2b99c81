"use strict";
// The wire: sends one request once, and says what can be concluded from what came back. The only
// question that matters for money is whether the server may have decided.

const fs = require("fs");
const path = require("path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const PROTO = process.env.CAMPUSCARD_PROTO || path.resolve(__dirname, "../../proto");
const OPTIONS = {
  keepCase: true, longs: Number, enums: String, bytes: Buffer, defaults: true,
  includeDirs: [PROTO],
};
const CHANNEL = {
  "grpc.enable_retries": 0, // a second retrier below ours would hide doubt
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2000,
};
// Sent before anything reaches the journal. All other statuses leave doubt.
const REJECTIONS = new Set([
  grpc.status.INVALID_ARGUMENT, grpc.status.NOT_FOUND, grpc.status.ALREADY_EXISTS,
  grpc.status.PERMISSION_DENIED, grpc.status.UNAUTHENTICATED, grpc.status.FAILED_PRECONDITION,
  grpc.status.OUT_OF_RANGE, grpc.status.UNIMPLEMENTED,
]);
const EARLY = new Set([grpc.status.RESOURCE_EXHAUSTED, grpc.status.UNAVAILABLE]);

// The three messages of google.rpc that a terminal reads.
const rpc = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
`, { keepCase: true }).root;

// details returns {reason, waitMs} of a gRPC error: the server's own word on it, where it has one.
function details(error) {
  const found = { reason: "", waitMs: null };
  const [raw] = error.metadata ? error.metadata.get("grpc-status-details-bin") : [];
  if (!raw) return found;
  for (const any of rpc.lookupType("Status").decode(raw).details) {
    const name = any.type_url.split(".").pop();
    if (name === "ErrorInfo") found.reason = rpc.lookupType(name).decode(any.value).reason;
    if (name === "RetryInfo") {
      const delay = rpc.lookupType(name).decode(any.value).retry_delay || {};
      found.waitMs = Number(delay.seconds || 0) * 1000 + (delay.nanos || 0) / 1e6;
    }
  }
  return found;
}

// conclude says what a status means for the key it was the answer to.
function conclude(error) {
  const { reason, waitMs } = details(error);
  const word = reason || grpc.status[error.code];
  if (REJECTIONS.has(error.code)) return { is: "rejected", code: error.code, reason: word };
  // Without the server's ErrorInfo an UNAVAILABLE is a torn line: the request may be inside.
  if (EARLY.has(error.code) && reason && waitMs !== null) return { is: "notYet", reason, waitMs };
  if (error.code === grpc.status.RESOURCE_EXHAUSTED && reason) {
    return { is: "rejected", code: error.code, reason };
  }
  return { is: "unknown", reason: word };
}

// credentials trusts the CA in a PEM file; without one there is no TLS.
function credentials(ca) {
  if (!ca) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(fs.readFileSync(ca));
}

class Link {
  constructor(address, ca = process.env.CAMPUSCARD_CA) {
    const file = path.join(PROTO, "campuscard/v1/terminal_service.proto");
    const loaded = grpc.loadPackageDefinition(loader.loadSync(file, OPTIONS));
    this.stub = new loaded.campuscard.v1.TerminalService(address, credentials(ca), CHANNEL);
  }

  // call makes one call with a deadline; resolves to {response} or to what conclude says.
  call(method, request, timeoutMs) {
    return new Promise((resolve) => {
      const deadline = Date.now() + timeoutMs;
      this.stub[method](request, { deadline }, (error, response) => {
        resolve(error ? conclude(error) : { is: "answered", response });
      });
    });
  }

  // decide sends what has a key; resolves to decided, notYet, unknown or rejected.
  async decide(method, request, timeoutMs) {
    const answer = await this.call(method, request, timeoutMs);
    if (answer.is !== "answered") return answer;
    const { decision } = answer.response;
    if (!decision || decision.outcome === "OUTCOME_UNSPECIFIED") return { is: "unknown" };
    return { is: "decided", decision };
  }

  // ask asks what became of a key; also resolves to never: it is not in the journal.
  async ask(key, timeoutMs) {
    const answer = await this.decide("GetTransaction", { key }, timeoutMs);
    return answer.code === grpc.status.NOT_FOUND ? { is: "never" } : answer;
  }

  close() {
    this.stub.close();
  }
}

module.exports = { Link, details };
