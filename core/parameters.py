"""Every number and switch of the regulation, once: name, unit, range, default, clause.

A value in force is the approved version with the latest effective time that has come; before the
first, the default. Rules take ``Values`` and never a literal.

**Source:** regulation and its open questions (D1 to D19) as given per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.parameter_kinds import Kind, OpenHours, Parameter, Value, parse_hours

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTER_OPERATIONS: Final = (
    "REPORT_LOSS",
    "UNLOSS",
    "MAKE_CARD",
    "PICK_UP",
    "UPGRADE",
    "RETURN",
    "PASSWORD_RESET",
)
"""What a counter does, for ``counter_operations``."""


def _number(
    key: str,
    default: int,
    unit: str,
    low: int,
    high: int,
    clause: str,
    zh: str,
    en: str,
    *,
    rules_field: str = "",
) -> Parameter:
    return Parameter(
        key=key,
        kind=Kind.NUMBER,
        default=default,
        unit=unit,
        low=low,
        high=high,
        clause=clause,
        zh=zh,
        en=en,
        rules_field=rules_field,
    )


def _choice(
    key: str, choices: str, clause: str, zh: str, en: str, *, rules_field: str = ""
) -> Parameter:
    names = tuple(choices.split())
    return Parameter(
        key=key,
        kind=Kind.CHOICE,
        default=names[0],
        choices=names,
        clause=clause,
        zh=zh,
        en=en,
        rules_field=rules_field,
    )


PARAMETERS: Final = (
    # limits and purses: the engine's
    _number("day_limit_fen", 10_000, "fen", 0, 10_000_000, "四.3", "日消费限额", "Daily limit above which the transaction password is asked for", rules_field="day_limit"),
    _number("meal_limit_fen", 5_000, "fen", 0, 10_000_000, "四.3", "餐消费限额", "Limit per meal above which the transaction password is asked for", rules_field="meal_limit"),
    _number("day_ceiling_fen", 50_000, "fen", 0, 10_000_000, "四.3", "个人日限额上限", "Ceiling of personal daily limits", rules_field="day_ceiling"),
    _number("meal_ceiling_fen", 20_000, "fen", 0, 10_000_000, "四.3", "个人餐限额上限", "Ceiling of personal limits per meal", rules_field="meal_ceiling"),
    _number("hold_seconds", 1_800, "s", 60, 86_400, "四.2", "预扣有效期", "How long a hold lives", rules_field="hold_seconds"),
    _number("water_hold_seconds", 300, "s", 30, 86_400, "四.6", "热水转款确认期", "How long a transfer to the water purse waits for its word", rules_field="water_hold_seconds"),
    _number("late_capture_seconds", 40 * 86_400, "s", 0, 60 * 86_400, "四.2", "过期预扣可补结算期", "How long after its expiry a hold may be captured late", rules_field="late_capture_seconds"),
    _number("water_tap_fen", 1_000, "fen", 1, 100_000, "四.6", "每次热水转款", "One tap at the water machine", rules_field="water_tap"),
    _number("water_cap_fen", 0, "fen", 0, 10_000_000, "四.6", "热水钱包上限 (0 不限)", "Most the water purse holds; 0: no cap", rules_field="water_cap"),
    _number("pin_tries", 3, "tries", 1, 10, "四.3, D6", "交易密码可错次数", "Wrong transaction passwords before the lock", rules_field="pin_max"),
    _choice("meal_limit_scope", "MEAL TXN", "四.3, D1", "餐限额按餐累计或按笔", "Meal limit: cumulative per meal, or per transaction", rules_field="meal_scope"),
    # fees, hours
    _number("card_fee_fen", 3_000, "fen", 0, 100_000, "三.4(2), 三.5", "补卡及赔偿费", "Fee of a replacement, and compensation for a lost card"),
    Parameter(key="counter_hours", kind=Kind.HOURS, default="WED 14:30-17:00, FRI 14:30-17:00", clause="三.4(4)", zh="柜台办理时间", en="Hours of the counter"),
    Parameter(key="counter_operations", kind=Kind.SET, default="UNLOSS,MAKE_CARD,PICK_UP", choices=COUNTER_OPERATIONS, clause="三.4(4), D9", zh="限柜台时间办理的业务", en="What is done only in the hours of the counter"),
    # cards
    _number("replace_wait_hours", 0, "h", 0, 240, "三.4, D10", "挂失至补卡等待", "Hours between a loss report and the new card"),
    _choice("old_card_void_at", "MADE PICKUP", "三.3, D7", "旧卡作废时点", "When the old card of a replacement becomes void"),
    _choice("damaged_card_fee", "FEE NO_FEE", "三.4, D14", "非人为损坏卡补办费", "Whether a card with a manufacturing fault is replaced for the fee"),
    _number("temporary_card_days", 90, "days", 1, 400, "三.1(4)", "临时卡有效期", "Days a temporary card is valid"),
    _number("formal_card_days", 2_190, "days", 1, 4_000, "三.1", "正式卡有效期", "Days a formal card is valid"),
    _choice("loss_scope", "CARD ALL_MEDIA", "三.2, D17", "挂失范围", "What a loss report covers when it does not say"),
    _choice("water_purse_on_loss", "RESTORE FORFEIT", "四.6, D11", "挂失后热水钱包", "What becomes of the water purse of a lost card"),
    _number("refund_wait_days", 3, "days", 0, 60, "三.5, D12", "退款等待期", "Days between return and refund, for late offline payments"),
    # photos, rosters
    _number("photo_bytes_max", 2_097_152, "bytes", 10_000, 10_485_760, "三.1(3), D13", "照片文件上限", "Largest photo file"),
    _number("photo_side_max_px", 800, "px", 100, 4_000, "三.1(3)", "照片边长上限", "Longest side of a photo"),
    _number("import_rows_max", 60_000, "rows", 1, 200_000, "三.1", "一次导入行数上限", "Rows of one roster file at most"),
    # passwords
    _choice("initial_password_rule", "SKIP ZERO FIXED", "四.3, D4", "身份证尾号为 X 的初始密码", "Initial password of an ID number ending in X: skip it, read it as 0, or 888888 for all"),
    _choice("weak_password_mode", "ENFORCE WARN", "五.2", "弱密码处理", "Whether weak passwords are refused or only warned of"),
    _number("password_history", 3, "passwords", 0, 10, "五.2", "不得重复的历史密码数", "Last passwords that may not come back"),
    _number("query_password_min", 8, "chars", 6, 64, "四.4", "查询密码最短长度", "Shortest query password a holder may choose"),
    _choice("initial_query_use", "CHANGE_ONLY ALL", "五.2", "初始查询密码可办业务", "What the initial query password opens until it is changed: changes of passwords and loss reports, or all of self-service"),
    _number("query_tries", 5, "tries", 1, 20, "三.2", "查询密码可错次数", "Wrong query passwords before self-service locks"),
    _number("query_lock_seconds", 86_400, "s", 60, 2_592_000, "三.2", "查询密码锁定时长", "How long that lock lasts"),
    # sessions
    _number("staff_idle_seconds", 1_800, "s", 60, 86_400, "七.3", "员工会话空闲时限", "Idle time that ends a staff session"),
    _number("staff_session_seconds", 28_800, "s", 300, 86_400, "七.3", "员工会话时限", "Longest staff session"),
    _number("staff_tries", 5, "tries", 1, 20, "七.3", "员工可错登录次数", "Wrong sign-ins before a member of staff is locked"),
    _number("staff_lock_seconds", 900, "s", 60, 86_400, "七.3", "员工锁定时长", "How long that lock lasts"),
    _number("staff_secret_hours", 72, "h", 1, 720, "七.3", "一次性口令有效期", "How long a one-time secret is good"),
    _number("staff_password_min", 10, "chars", 8, 64, "七.3", "员工密码最短长度", "Shortest password of staff"),
    _number("holder_session_seconds", 900, "s", 60, 86_400, "四.4", "自助会话时限", "Longest self-service session"),
    # access
    _number("qr_seconds", 60, "s", 5, 60, "四.1", "动态二维码有效期", "How long a dynamic QR is valid" ),
    _number("passage_days", 90, "days", 65, 400, "四.2, 七.2", "通行记录保存期", "How long decisions at gates are kept for reading"),
    _choice("leave_spending", "UNTIL_EXPIRY NONE", "八.1, D19", "休学期间消费", "Whether a holder on leave may spend"),
)

BY_KEY: Final = {parameter.key: parameter for parameter in PARAMETERS}


@dataclass(frozen=True, slots=True)
class Values:
    """The values in force at one moment.

    Args:
        approved: text per key, of the approved versions that have come into force.
    """

    approved: Mapping[str, str]

    def number(self, key: str) -> int:
        """Return the value of a NUMBER parameter."""
        value = self.value(key)
        if not isinstance(value, int):
            raise TypeError(f"{key} is no number")
        return value

    def text(self, key: str) -> str:
        """Return the value of a CHOICE, SET or HOURS parameter."""
        value = self.value(key)
        if not isinstance(value, str):
            raise TypeError(f"{key} is no text")
        return value

    def has(self, key: str, name: str) -> bool:
        """Tell whether a SET parameter holds a name."""
        return name in self.text(key).split(",")

    def hours(self, key: str) -> tuple[OpenHours, ...]:
        """Return the value of an HOURS parameter."""
        return parse_hours(self.text(key))

    def value(self, key: str) -> Value:
        """Return the value of any parameter."""
        parameter = BY_KEY[key]
        text = self.approved.get(key)
        return parameter.default if text is None else parameter.parse(text)
