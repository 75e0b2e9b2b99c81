"use strict";
// The walk of tests/conformance/test_clients.py by @grpc/grpc-js: prints what it was answered.

const { Link } = require("../../../examples/terminal/link");

const CALL_MS = 20000;
const [address, ca, terminal, batch, first, uid] = process.argv.slice(2);
const { stub } = new Link(address, ca === "-" ? "" : ca);
const medium = { type: "MEDIUM_TYPE_RFID_CARD", token: Buffer.from(uid, "hex") };

function sale(offset, fen, changes = {}) {
  const key = { terminal_id: terminal, batch_no: Number(batch), terminal_seq: Number(first) + offset };
  return { ...key, medium, amount_fen: fen, ...changes };
}

function unary(method, request) {
  return new Promise((resolve, reject) => {
    stub[method](request, { deadline: Date.now() + CALL_MS }, (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}

async function decided(request) {
  const { decision } = await unary("Authorize", request);
  return [decision.reason, decision.approved_fen, decision.balance_fen, decision.replayed];
}

async function refused(method, request) {
  try {
    await unary(method, request);
  } catch (error) {
    const [details] = error.metadata.get("grpc-status-details-bin");
    return [error.code, error.details, details.toString("hex")];
  }
  return null;
}

function streamed(count) {
  return new Promise((resolve, reject) => {
    const call = stub.AuthorizeStream({ deadline: Date.now() + CALL_MS });
    const answers = [];
    call.on("data", ({ terminal_seq: seq, decision }) => {
      answers.push([seq - first, decision.reason, decision.balance_fen]);
    });
    call.on("error", reject);
    call.on("end", () => resolve(answers));
    for (let i = 0; i < count; i += 1) call.write({ authorization: sale(10 + i, 1) });
    call.end();
  });
}

async function batched(count) {
  const items = Array.from({ length: count }, (_, i) => ({
    terminal_seq: Number(first) + 200 + i,
    medium_type: medium.type,
    medium_token: medium.token,
    amount_fen: 2,
  }));
  const request = { terminal_id: terminal, batch_no: Number(batch), items };
  const { results } = await unary("AuthorizeBatch", request);
  return results.map((result) => [result.outcome, result.balance_fen]);
}

async function main() {
  const said = {
    sale: await decided(sale(0, 700)),
    replay: await decided(sale(0, 700)),
    other: await decided(sale(0, 701)),
    field: await refused("Authorize", sale(1, 1, { terminal_id: "" })),
    large: await refused("Authorize", sale(1, 1, { pin: "1".repeat(70000) })),
    never: await refused("GetTransaction", { seq: 2 ** 40 }),
    stream: await streamed(100),
    batch: await batched(50),
    beat: (await unary("Heartbeat", { terminal_id: terminal })).batch_no,
  };
  process.stdout.write(JSON.stringify(said));
}

main().then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
