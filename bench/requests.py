"""The messages of purchases, made before the clock runs: keys that no server has seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from bench.workload import TERMINALS, Draws, terminal_name
from campuscard.v1 import terminal_service_pb2 as pb

SEQ_MAX: Final = 65_535

SignIn = Callable[[pb.SignInRequest], pb.SignInResponse]


class Requests:
    """Makes requests from draws.

    Args:
        drawn: who pays how much; the terminals are taken in turn, a batch of keys each.
        sign_in: opens a terminal's next batch.
    """

    def __init__(self, drawn: Draws, sign_in: SignIn) -> None:
        self._draws = drawn
        self._sign_in = sign_in
        self._drawn = itertools.cycle(range(len(drawn.accounts)))
        self._terminals = itertools.cycle(range(1, TERMINALS + 1))
        self._terminal = ""
        self._batch_no = 0
        self._next = SEQ_MAX + 1

    def singles(self, count: int) -> list[bytes]:
        """Make AuthorizeRequests."""
        return [self._single() for _ in range(count)]

    def batches(self, count: int, items: int) -> list[bytes]:
        """Make AuthorizeBatchRequests of ``items`` (1 to 8192) each."""
        return [self._batch(items) for _ in range(count)]

    def _keys(self, count: int) -> int:
        """Return the first of ``count`` unused terminal_seq of the terminal at hand."""
        if self._next + count > SEQ_MAX + 1:
            self._terminal = terminal_name(next(self._terminals))
            answer = self._sign_in(pb.SignInRequest(terminal_id=self._terminal))
            if not answer.batch_no:
                raise RuntimeError(f"{self._terminal} cannot sign in: {answer.decision.reason}")
            self._batch_no, self._next = answer.batch_no, 1
        first = self._next
        self._next += count
        return first

    def _draw(self) -> tuple[bytes, int]:
        at = next(self._drawn)
        return card(self._draws.accounts[at]), self._draws.amounts[at]

    def _single(self) -> bytes:
        seq = self._keys(1)
        token, amount = self._draw()
        request = pb.AuthorizeRequest(
            terminal_id=self._terminal,
            batch_no=self._batch_no,
            terminal_seq=seq,
            medium=pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=token),
            amount_fen=amount,
        )
        return request.SerializeToString()

    def _batch(self, count: int) -> bytes:
        first = self._keys(count)
        items = []
        for seq in range(first, first + count):
            token, amount = self._draw()
            items.append(
                pb.AuthorizeItem(
                    terminal_seq=seq,
                    medium_type=pb.MEDIUM_TYPE_RFID_CARD,
                    medium_token=token,
                    amount_fen=amount,
                )
            )
        request = pb.AuthorizeBatchRequest(
            terminal_id=self._terminal, batch_no=self._batch_no, items=items
        )
        return request.SerializeToString()


def card(account: int) -> bytes:
    """Return the token of the card that ``Campus.populate`` gave an account."""
    return account.to_bytes(4, "little")


def approved_single(answer: bytes) -> int:
    """Return how many authorizations an AuthorizeResponse approves: 1 or 0."""
    decision = pb.AuthorizeResponse.FromString(answer).decision
    return int(decision.outcome == pb.OUTCOME_APPROVED)


def approved_batch(answer: bytes) -> int:
    """Return how many authorizations an AuthorizeBatchResponse approves."""
    results = pb.AuthorizeBatchResponse.FromString(answer).results
    return sum(result.outcome == pb.OUTCOME_APPROVED for result in results)
