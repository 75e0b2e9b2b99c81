"use strict";
// What survives the plug: a line of JSON for each change of an entry, on the disk before it counts.

const fs = require("fs");
const path = require("path");

const SETTLED = new Set(["done", "closed", "reversed"]);

class Store {
  constructor(directory) {
    this.entries = new Map(); // key as text -> entry
    this.file = path.join(directory, "entries.jsonl");
    this.load();
    this.begin(directory);
  }

  // load reads what the last run left. A last line that is cut short was never acted on.
  load() {
    if (!fs.existsSync(this.file)) return;
    const lines = fs.readFileSync(this.file, "utf8").split("\n");
    lines.pop();
    for (const line of lines) {
      const entry = JSON.parse(line);
      this.entries.set(nameOf(entry.key), entry);
    }
  }

  // begin starts a new file with what is open, and puts it in the old one's place.
  begin(directory) {
    const next = `${this.file}.next`;
    const text = this.open().map((entry) => `${JSON.stringify(entry)}\n`).join("");
    this.descriptor = fs.openSync(next, "w", 0o600);
    fs.writeSync(this.descriptor, text);
    fs.fsyncSync(this.descriptor);
    fs.renameSync(next, this.file);
    const folder = fs.openSync(directory, "r");
    fs.fsyncSync(folder);
    fs.closeSync(folder);
  }

  // save makes an entry durable. It throws when it cannot: then nothing may be sent or delivered.
  save(entry) {
    fs.writeSync(this.descriptor, `${JSON.stringify(entry)}\n`);
    fs.fdatasyncSync(this.descriptor);
    if (SETTLED.has(entry.state)) this.entries.delete(nameOf(entry.key));
    else this.entries.set(nameOf(entry.key), entry);
  }

  open() {
    return [...this.entries.values()].filter((entry) => !SETTLED.has(entry.state));
  }
}

function nameOf(key) {
  return `${key.batch_no}/${key.terminal_seq}`;
}

module.exports = { Store, nameOf };
