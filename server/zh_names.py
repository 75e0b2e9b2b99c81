"""What states and acts are called in Chinese texts; refusals themselves name them in English.

The names stand once: those of states beside the values in the protos, those of acts in the tables
of ``core``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from campuscard.v1 import (
    account_service_pb2,
    card_office_service_pb2,
    merchant_service_pb2,
    options_pb2,
    parameter_service_pb2,
    roster_pb2,
)
from core import account_holds, cards, replacement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import EnumDescriptor

NOUNS: Final = {
    "account": "账户",
    "medium": "介质",
    "card": "校园卡",
    "merchant": "商户",
    "terminal": "终端",
    "alert": "警报",
    "batch": "批次",
    "case": "补卡单",
    "certificate": "证明",
    "change": "变更",
    "document": "单据",
    "face": "人脸",
    "gate": "闸机",
    "grant": "授权",
    "group": "通行组",
    "notice": "通知",
    "parameter": "参数",
    "photo": "照片",
    "proposal": "提案",
    "staff": "员工",
    "zone": "区域",
}
"""What NOT_FOUND and ALREADY_EXISTS speak of."""

_MARKS: Final = {"LOST": "挂失", "FROZEN": "冻结"}
_WORD: Final = re.compile(r"[A-Z][A-Z_]+")


def of_enum(enum: EnumDescriptor) -> dict[str, str]:
    """Return the Chinese names of an enum's values by their names without its prefix."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    zh = options_pb2.zh
    return {
        value.name.removeprefix(prefix): value.GetOptions().Extensions[zh]
        for value in enum.values
        if value.GetOptions().HasExtension(zh)
    }


_CARD: Final = {
    **{event.name: row.zh for event, row in cards.TABLE.items()},
    **of_enum(card_office_service_pb2.CardState.DESCRIPTOR),
    **_MARKS,
}
_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "CARD_STATE": _CARD,
    "CASE_STATE": {
        **of_enum(card_office_service_pb2.FeeState.DESCRIPTOR),
        **{event.name: name for event, name in replacement.EVENT_ZH.items()},
        **of_enum(card_office_service_pb2.CaseState.DESCRIPTOR),
    },
    "HOLDER_STATUS": of_enum(roster_pb2.HolderStatus.DESCRIPTOR),
    "PROPOSAL_STATE": of_enum(parameter_service_pb2.ProposalState.DESCRIPTOR),
    "STATE_TRANSITION": {
        **_CARD,
        **of_enum(merchant_service_pb2.ServiceStatus.DESCRIPTOR),
        **of_enum(account_service_pb2.MediumState.DESCRIPTOR),
        **{event.name: row.zh for event, row in account_holds.TABLE.items()},
        **of_enum(account_service_pb2.AccountHold.DESCRIPTOR),
        **of_enum(account_service_pb2.AccountStatus.DESCRIPTOR),
    },
}


def say(reason: str, value: str | int) -> str | int:
    """Return one of a refusal's numbers and names as a Chinese text has it.

    Args:
        reason: name of the refusal.
        value: as the refusal has it: ``ACTIVE+LOST``, ``UNLOSS, REPLACE``, ``card``, 3.
    """
    if not isinstance(value, str):
        return value
    names = _STATES.get(reason)
    if names is None:
        return NOUNS.get(value, value)
    return _WORD.sub(lambda word: names.get(word[0], word[0]), value)
