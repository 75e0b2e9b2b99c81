"use strict";
// The sample terminal as `campuscard terminal certify` drives it: lines of JSON on standard input,
// one for each thing done at the device, and a line with what the display shows at its end.

const readline = require("readline");
const { Terminal } = require("./payments");

let terminal = null;
let last = null; // the entry that pin, cancel, void, refund, capture and release are about

const STEPS = {
  start({ server, terminal_id: id, state }) {
    terminal = new Terminal(id, server, state);
    terminal.recover();
    return { shown: "READY", software: "campuscard sample 1.0" };
  },
  tap: (step) => pay("Authorize", step),
  hold: (step) => pay("Hold", step),
  pin: async ({ pin }) => show(await terminal.enter(last, pin)),
  cancel: () => show(terminal.cancel(last)),
  void: () => undo("Reverse", { amount_fen: last.amount, void_sale: true }),
  refund: ({ amount_fen: fen }) => undo("Refund", { amount_fen: fen }),
  capture: ({ amount_fen: fen }) => undo("Capture", { amount_fen: fen }),
  release: () => undo("Release", {}),
  async balance({ card }) {
    const wallets = await terminal.balance(Buffer.from(card, "hex"));
    return wallets ? { shown: "DONE", balance_fen: wallets.online_fen } : { shown: "NOT_PAID" };
  },
  end() {
    process.exit(0);
  },
};

async function pay(method, { card, amount_fen: fen }) {
  return show(await terminal.pay(method, Buffer.from(card, "hex"), fen));
}

async function undo(method, fields) {
  const end = await terminal.undo(method, last, fields);
  const { shown, ...rest } = display(end);
  return { shown: end.state === "open" ? "QUEUED" : shown, ...rest };
}

// show remembers what the display is about.
function show(entry) {
  last = entry;
  return display(entry);
}

function display(entry) {
  const { state, decision } = entry;
  if (state === "asked") return { shown: "PIN_REQUIRED", reason: decision.reason };
  if (state !== "done") return { shown: "NOT_PAID" };
  const approved = decision.outcome === "OUTCOME_APPROVED";
  const shown = approved ? "APPROVED" : "DECLINED";
  const { reason, approved_fen: fen, balance_fen: balance } = decision;
  return { shown, reason, amount_fen: approved ? fen : 0, balance_fen: balance };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    const play = STEPS[step.do] || (() => ({ shown: "UNSUPPORTED" }));
    process.stdout.write(`${JSON.stringify({ id: step.id, ...(await play(step)) })}\n`);
  }
  process.exit(0);
}

main();
