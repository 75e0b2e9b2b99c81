"use strict";
// A terminal that charges a holder once or not at all, by four rules:
//
// 1. A key is on the disk before its first send; every send of it is the same request.
// 2. After a send without a clear answer comes a question, and only "never decided" leads to another
//    send.
// 3. When patience ends in doubt, the wish to take it back is on the disk first. From then on an
//    approval is ignored, and the reversal is repeated until the server has it.
// 4. An answer is on the disk before the display shows it. So after a loss of power an entry without
//    an answer is a sale nobody was told of, and it is taken back.

const { Link } = require("./link");
const { Store, nameOf } = require("./store");

const ATTEMPT_MS = 3000;
const PATIENCE_MS = 8000;
const FIRST_PAUSE_MS = 100;
const MOST_PAUSE_MS = 2000;
const REKEYS = 3;
// What reports something that has happened must arrive; what takes money can be taken back.
const MUST_LAND = new Set(["Capture", "Release", "Reverse", "Refund"]);
const NOTHING_LEFT = new Set([
  "ALREADY_REVERSED", "HOLD_CLOSED", "ORIGINAL_NOT_APPROVED", "ORIGINAL_REVERSED",
]);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Terminal {
  constructor(terminalId, address, directory) {
    this.terminalId = terminalId;
    this.link = new Link(address);
    this.store = new Store(directory);
    this.batch = 0;
    this.number = 0;
  }

  // recover takes up what the last run left, in the background.
  recover() {
    const open = this.store.open();
    const underWay = new Set(open.map((entry) => entry.undoes && nameOf(entry.undoes)));
    for (const entry of open) {
      if (entry.state === "asked") this.note(entry, "closed");
      else if (MUST_LAND.has(entry.method)) this.land(entry);
      else if (entry.state === "open") this.giveUp(entry);
      else if (!underWay.has(nameOf(entry.key))) this.reverse(entry);
    }
  }

  // ---- keys ----

  async nextKey() {
    if (this.batch === 0 || this.number === 65535) {
      const request = { terminal_id: this.terminalId, software: "sample 1.0" };
      const answer = await this.link.call("SignIn", request, ATTEMPT_MS);
      if (answer.is !== "answered" || !answer.response.batch_no) throw new Error("sign-in");
      this.batch = answer.response.batch_no;
      this.number = 0;
    }
    this.number += 1;
    return { terminal_id: this.terminalId, batch_no: this.batch, terminal_seq: this.number };
  }

  async nextKeyForEver() {
    for (;;) {
      try {
        return await this.nextKey();
      } catch {
        await sleep(MOST_PAUSE_MS);
      }
    }
  }

  // ---- what the till asks for: each resolves to an entry as it stands then ----

  async pay(method, medium, amount) {
    let key;
    const ends = Date.now() + PATIENCE_MS;
    while (!key) {
      try {
        key = await this.nextKey();
      } catch {
        if (Date.now() > ends) return { state: "closed", amount }; // nothing was sent
        await sleep(FIRST_PAUSE_MS);
      }
    }
    const body = { medium: medium.toString("hex"), amount_fen: amount };
    return this.conclude(this.note({ key, method, amount, body }, "open"), "", PATIENCE_MS);
  }

  // enter gives the password that was asked for; the same key goes out again.
  enter(entry, pin) {
    return this.conclude(this.note(entry, "open"), pin, PATIENCE_MS);
  }

  // cancel is for who does not enter it. A send that is in doubt is taken back.
  cancel(entry) {
    if (entry.doubtful) return this.giveUp(entry);
    return this.note(entry, "closed");
  }

  // undo sends a report about an earlier entry: Capture, Release, Refund, or Reverse of a sale.
  async undo(method, original, fields) {
    const key = await this.nextKeyForEver();
    const entry = { key, method, body: fields, amount: fields.amount_fen || 0, undoes: original.key };
    const end = await this.conclude(this.note(entry, "open"), "", PATIENCE_MS);
    if (end.state === "open") this.land(end);
    return end;
  }

  async balance(medium) {
    const request = { terminal_id: this.terminalId, medium: mediumOf(medium.toString("hex")) };
    const answer = await this.link.call("GetBalance", request, ATTEMPT_MS);
    return answer.is === "answered" ? answer.response : null;
  }

  // ---- one entry ----

  note(entry, state, more = {}) {
    const noted = { ...entry, ...more, state };
    this.store.save(noted);
    return noted;
  }

  request(entry, pin) {
    const { medium, ...rest } = entry.body;
    const request = { ...entry.key, ...rest };
    if (medium) request.medium = mediumOf(medium);
    if (pin) request.pin = pin;
    if (entry.undoes) {
      const { batch_no, terminal_seq } = entry.undoes;
      const name = entry.method === "Capture" || entry.method === "Release" ? "hold" : "original";
      request[name] = { batch_no, terminal_seq };
    }
    return request;
  }

  // attempts sends, and asks, until there is an answer or patience ends.
  async attempts(entry, pin, patienceMs) {
    const ends = Date.now() + patienceMs;
    const mustLand = MUST_LAND.has(entry.method);
    let pause = FIRST_PAUSE_MS;
    let doubtful = Boolean(entry.doubtful);
    let asking = false;
    for (;;) {
      const answer = asking
        ? await this.link.ask(entry.key, ATTEMPT_MS)
        : await this.link.decide(entry.method, this.request(entry, pin), ATTEMPT_MS);
      if (answer.is === "decided") {
        const lost = asking && pin && answer.decision.outcome === "OUTCOME_PIN_REQUIRED";
        if (!lost) return { answer, doubtful };
        asking = false; // the send that got lost was the one with the password
      } else if (answer.is === "unknown") {
        doubtful = asking = true;
      } else if (answer.is === "rejected" && !asking && (mustLand || !doubtful)) {
        return { answer, doubtful };
      } else if (answer.is !== "notYet") {
        asking = false;
      }
      if (Date.now() >= ends) {
        return { answer: answer.is === "notYet" ? answer : { is: "unknown" }, doubtful };
      }
      await sleep(Math.max(answer.waitMs || 0, pause * (0.5 + Math.random())));
      pause = Math.min(2 * pause, MOST_PAUSE_MS);
    }
  }

  // conclude brings an entry to an end while somebody waits.
  async conclude(entry, pin, patienceMs) {
    let { answer, doubtful } = await this.attempts(entry, pin, patienceMs);
    for (let i = 0; i < REKEYS && mustRekey(answer); i += 1) {
      entry = await this.rekey(entry);
      ({ answer, doubtful } = await this.attempts(entry, pin, patienceMs));
    }
    if (answer.is === "decided") return this.decided(entry, answer.decision, doubtful);
    if (MUST_LAND.has(entry.method)) return answer.is === "rejected" ? this.note(entry, "closed") : entry;
    return doubtful ? this.giveUp(entry) : this.note(entry, "closed");
  }

  decided(entry, decision, doubtful) {
    const asked = decision.outcome === "OUTCOME_PIN_REQUIRED";
    const { outcome, reason, approved_fen, balance_fen, seq } = decision;
    const kept = { outcome, reason, approved_fen, balance_fen, seq };
    return this.note(entry, asked ? "asked" : "done", { decision: kept, doubtful });
  }

  // rekey moves a request of a batch that was closed into a new one. That refusal stands for ever.
  async rekey(entry) {
    if (entry.key.batch_no === this.batch) this.batch = 0;
    const key = await this.nextKeyForEver();
    const moved = this.note({ ...entry, key, doubtful: false }, "open");
    this.note(entry, "closed");
    return moved;
  }

  giveUp(entry) {
    const leaving = this.note(entry, "reversing");
    this.reverse(leaving);
    return leaving;
  }

  // ---- in the background ----

  async reverse(original) {
    const key = await this.nextKeyForEver();
    const body = { amount_fen: original.amount };
    const entry = { key, method: "Reverse", body, amount: original.amount, undoes: original.key };
    await this.land(this.note(entry, "open"));
  }

  // land repeats what must arrive until the server has it, or never will.
  async land(entry) {
    for (;;) {
      const { answer } = await this.attempts(entry, "", PATIENCE_MS);
      if (mustRekey(answer)) {
        entry = await this.rekey(entry);
        continue;
      }
      if (answer.is === "unknown" || answer.is === "notYet") continue;
      const original = this.store.entries.get(nameOf(entry.undoes));
      if (original && original.state === "reversing") {
        const reason = answer.decision ? answer.decision.reason : answer.reason;
        if (reason !== "OK" && !NOTHING_LEFT.has(reason)) {
          process.stderr.write(`a person has to look at ${nameOf(original.key)}: ${reason}\n`);
        }
        this.note(original, "reversed");
      }
      if (answer.decision) this.decided(entry, answer.decision, false);
      else this.note(entry, "closed");
      return;
    }
  }
}

function mustRekey(answer) {
  return answer.is === "decided" && answer.decision.reason === "TERMINAL_NOT_SIGNED_IN";
}

function mediumOf(hex) {
  return { type: "MEDIUM_TYPE_RFID_CARD", token: Buffer.from(hex, "hex") };
}

module.exports = { Terminal };
