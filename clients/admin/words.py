"""Names of states and kinds for people at a counter; what is typed and what JSON says stays English."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import EnumDescriptor

from clients.admin.console import tr
from clients.admin.plain import enum_word

_ZH: Final = {
    "CardState": {
        "produced": "已制卡",
        "in_transit": "在途",
        "active": "在用",
        "expired": "已过期",
        "returned": "已退卡",
        "void_replaced": "补卡作废",
        "void_compensated": "赔偿作废",
        "void_upgraded": "换卡作废",
    },
    "CardType": {"formal": "正式卡", "temporary": "临时卡"},
    "CaseState": {
        "open": "已受理",
        "docs": "收材料中",
        "ready": "可制卡",
        "card_made": "已制新卡",
        "notified": "已通知",
        "picked_up": "已领卡",
        "cancelled": "已取消",
    },
    "FeeState": {
        "due": "待缴",
        "none": "免费",
        "paid": "已缴",
        "waiver_proposed": "待复核减免",
        "waived": "已减免",
        "refundable": "待退",
        "refunded": "已退",
    },
    "NoticeKind": {"card_ready": "可领卡", "warning": "警告", "suspension": "暂停使用"},
    "HolderStatus": {
        "enrolled": "在校",
        "on_leave": "休学",
        "graduated": "毕业",
        "withdrawn": "退学",
        "staff_left": "离职",
    },
    "HolderKind": {
        "student": "学生",
        "staff": "教职工",
        "temporary": "临时人员",
        "operator": "操作员",
    },
    "AccountStatus": {
        "normal": "正常",
        "suspended": "暂停",
        "closing": "注销中",
        "closed": "已注销",
    },
    "ProposalState": {
        "open": "待复核",
        "approved": "已批准",
        "rejected": "已否决",
        "withdrawn": "已撤回",
    },
}


def label(enum: EnumDescriptor, number: int) -> str:
    """Return a value's name in the person's language; where Chinese has none, as ``enum_word``."""
    word = enum_word(enum, number)
    return tr(_ZH.get(enum.name, {}).get(word, word), word)
