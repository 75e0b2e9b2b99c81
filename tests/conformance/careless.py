"""Terminals that must not be certified: each breaks one rule. Run as a program by certify.

careless.py MODE
"""

import json
import os
import pathlib
import sys

import grpc

from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc

ATTEMPT_S = 3


class Careless:
    """Pays, and does the one thing wrong that its mode names."""

    def __init__(self, mode):
        self.mode = mode
        self.seq = 0
        self.last = None

    def start(self, server, terminal_id, state):
        self.channel = grpc.insecure_channel(server)
        self.stub = terminal_service_pb2_grpc.TerminalServiceStub(self.channel)
        self.terminal_id = terminal_id
        self.disk = pathlib.Path(state) / "batch"
        self.batch = 0
        if self.mode == "same keys again" and self.disk.exists():
            self.batch = int(self.disk.read_text(encoding="ascii"))
        return {"shown": "READY", "software": self.mode}

    def key(self):
        if not self.batch:
            request = pb.SignInRequest(terminal_id=self.terminal_id)
            self.batch = self.stub.SignIn(request, timeout=ATTEMPT_S).batch_no
            self.disk.write_text(str(self.batch), encoding="ascii")
        self.seq += 1
        return {
            "terminal_id": self.terminal_id,
            "batch_no": self.batch,
            "terminal_seq": self.seq,
        }

    def send(self, **changes):
        self.last.MergeFrom(pb.AuthorizeRequest(**changes))
        timeout = None if self.mode == "waits for ever" else ATTEMPT_S
        return self.stub.Authorize(self.last, timeout=timeout).decision

    def tap(self, card, amount_fen):
        medium = pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=bytes.fromhex(card))
        self.last = pb.AuthorizeRequest(medium=medium, amount_fen=amount_fen)
        return self.attempt()

    def pin(self, pin):
        return self.attempt(pin=pin)

    def attempt(self, **changes):
        for number in range(5):
            if number == 0 or self.mode == "new key for a retry":
                changes = {**changes, **self.key()}
            try:
                return self.display(self.send(**changes))
            except grpc.RpcError:
                if self.mode == "delivers in doubt":
                    return {"shown": "APPROVED", "amount_fen": self.last.amount_fen}
                if self.mode == "forgets":
                    break
        return {"shown": "NOT_PAID"}

    def display(self, decision):
        if self.mode == "wrong amount":
            return {"shown": "APPROVED", "balance_fen": decision.balance_fen + 1}
        word = pb.Outcome.Name(decision.outcome).removeprefix("OUTCOME_")
        return {"shown": word, "reason": decision.reason, "balance_fen": decision.balance_fen}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    till = Careless(sys.argv[1])
    for line in sys.stdin:
        step = json.loads(line)
        number, do = step.pop("id"), step.pop("do")
        if do == "end":
            break
        if till.mode == "says nothing" and do == "tap":
            continue
        if till.mode == "is noisy" and do == "tap":
            say("beep")
        play = getattr(till, do, None)
        shown = play(**step) if play else {"shown": "UNSUPPORTED"}
        say(json.dumps({"id": number, **shown}))
    os._exit(0)


main()
