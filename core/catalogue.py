"""The one catalogue of outcomes and errors.

Every reason a command can end with stands here once: the C enum (``ext/reasons.h``), the proto
enum check, the texts of both languages and ``docs/reference/errors.md`` are made from it.
A reason with ``status=None`` is an outcome inside an OK reply; one with a status never reached
the sequencer's decision and travels as a gRPC status with one ``ErrorInfo``.

**Source:** response codes of ISO 8583 (DE39), regulation clauses as given per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DOMAIN: Final = "campuscard"


class Status(StrEnum):
    """gRPC status codes used by the catalogue, by name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    DATA_LOSS = "DATA_LOSS"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One way a command can end.

    ``number`` is durable for outcomes (it stands in records) and never reused. ``zh`` and ``en``
    are templates; names in braces are filled from the decision's numbers (fen become yuan).
    ``action`` says what the receiver should do next. ``de39`` is the nearest ISO 8583 code.
    """

    number: int
    name: str
    zh: str
    en: str
    action: str
    status: Status | None = None
    clause: str = ""
    de39: str = ""
    retryable: bool = False


def _outcome(number: int, name: str, de39: str, clause: str, zh: str, en: str, action: str) -> Reason:
    return Reason(number=number, name=name, de39=de39, clause=clause, zh=zh, en=en, action=action)


OUTCOMES: Final = (
    _outcome(0, "OK", "00", "", "交易成功", "Approved", "Deliver the goods."),
    _outcome(1, "TERMINAL_NOT_SIGNED_IN", "77", "五.4", "终端未签到, 请签到", "Terminal is not signed in", "Call SignIn, then send with the new batch_no."),
    _outcome(2, "KEY_EXPIRED", "94", "", "流水已过保存期", "The key is older than the 64-day window", "Look the transaction up by its seq; send a new terminal_seq for a new charge."),
    _outcome(3, "DUPLICATE_MISMATCH", "94", "", "流水号重复且内容不符", "Same key with another body", "A defect of the terminal: use a new terminal_seq for a new charge."),
    _outcome(4, "ORIGINAL_REVERSED", "25", "", "原交易已冲正", "The transaction was reversed before it arrived", "Do not deliver; start a new transaction."),
    _outcome(5, "TERMINAL_SUSPENDED", "58", "五.4", "终端已停用", "Terminal is suspended", "Call the card centre."),
    _outcome(6, "MERCHANT_INVALID", "03", "", "商户无效", "Merchant is unknown or closed", "Call the card centre."),
    _outcome(7, "CARD_UNKNOWN", "14", "四.1", "卡号不存在", "Medium is not known", "Ask for another medium."),
    _outcome(8, "CARD_VOID", "14", "三.3", "卡已作废", "Card is void", "Keep the card if policy says so; the holder goes to the card centre."),
    _outcome(9, "CARD_LOST", "41", "三.2", "卡已挂失", "Card is reported lost", "Refuse; the holder goes to the card centre."),
    _outcome(10, "CARD_FROZEN", "62", "八.1", "卡已冻结", "Card is suspended", "Refuse; the holder goes to the card centre."),
    _outcome(11, "CARD_EXPIRED", "54", "", "卡已过期", "Card has expired", "The holder goes to the card centre."),
    _outcome(12, "CARD_NOT_ACTIVE", "78", "三.1", "卡未启用", "Card is not active yet", "Activate the card first."),
    _outcome(13, "ACCOUNT_CLOSED", "14", "三.5", "账户已注销", "Account is closed", "Refuse."),
    _outcome(14, "ACCOUNT_SUSPENDED", "62", "八.1", "账户已暂停使用", "Account is suspended", "Refuse; the holder goes to the card centre."),
    _outcome(15, "ACCOUNT_DEBT", "51", "五.3", "账户欠款 {balance}", "Account is in debt: {balance}", "Top up first; a top-up settles the debt."),
    _outcome(16, "CATEGORY_NOT_ALLOWED", "57", "四.2", "该商户类别不支持此交易", "Not allowed at this category of merchant", "Use another kind of transaction."),
    _outcome(17, "AMOUNT_INVALID", "13", "", "金额错误", "Amount is out of range", "Amounts are 1 fen up to the terminal's maximum."),
    _outcome(18, "INSUFFICIENT", "51", "五.3", "余额不足: 可用 {available}, 本笔 {asked}", "Insufficient balance: {available} available, {asked} asked", "Top up, or pay less."),
    _outcome(19, "PIN_REQUIRED", "70", "四.3", "{limits}, 本笔 {asked}, 请输入交易密码", "{limits}, this one {asked}: enter the transaction password", "Send the same key again with the transaction password."),
    _outcome(20, "PIN_WRONG", "55", "四.3", "密码错误 (剩 {left} 次)", "Wrong transaction password ({left} tries left)", "Send a new terminal_seq for the next try."),
    _outcome(21, "PIN_LOCKED", "75", "四.3", "交易密码已锁定", "Transaction password is locked", "It opens the next day unless pin_reset says otherwise, or at the counter; amounts under the limits still pass."),
    _outcome(22, "LIMIT_HARD", "61", "", "超过系统上限", "Over a hard bound of the system", "Call the card centre."),
    _outcome(23, "ORIGINAL_NOT_FOUND", "25", "", "原交易不存在", "Original transaction not found", "Check the original's batch_no and terminal_seq."),
    _outcome(24, "ORIGINAL_NOT_APPROVED", "25", "", "原交易未成功", "The original moved no money", "Nothing to undo."),
    _outcome(25, "ALREADY_REVERSED", "25", "", "原交易已冲正或撤销", "The original is already reversed", "Nothing more to do."),
    _outcome(26, "ALREADY_REFUNDED", "25", "", "原交易已有退款", "The original was refunded already", "Refund what is left instead of reversing."),
    _outcome(27, "REVERSAL_AMOUNT_MISMATCH", "13", "", "冲正金额与原交易不符", "A reversal is whole: the amount differs", "Send the original amount; use Refund for a part."),
    _outcome(28, "REFUND_EXCEEDS_ORIGINAL", "13", "", "退款超过原交易: 可退 {left}", "Refund exceeds the original: {left} left", "Refund at most what is left."),
    _outcome(29, "REFUND_NOT_ALLOWED", "57", "", "该交易不可退款", "This transaction cannot be refunded", "Use a reversal, or the counter."),
    _outcome(30, "HOLD_NOT_FOUND", "25", "", "预扣不存在", "Hold not found", "Check the hold's seq or key."),
    _outcome(31, "HOLD_CLOSED", "25", "", "预扣已结算或释放", "Hold is already captured or released", "Nothing more to do."),
    _outcome(32, "HOLD_PENDING", "09", "四.6", "上一笔转款未完成", "A water transfer is still open", "Tap again with the card's counter; the card centre settles that of a card which does not come back."),
    _outcome(33, "CARD_COUNTER_REGRESSION", "63", "五.1", "卡计数器异常", "Card counter went backwards", "Keep the card; call the card centre."),
    _outcome(34, "WATER_CAP", "61", "四.6", "热水钱包超过上限 {limit}", "Water purse would exceed {limit}", "Use up the water purse first."),
    _outcome(35, "PIN_NOT_SET", "55", "四.3", "未设置交易密码", "No transaction password is set", "The holder sets one at the counter."),
    _outcome(36, "MERCHANT_SHORT", "51", "", "商户应付余额不足", "The merchant's payable does not cover it", "Refund at the counter."),
    _outcome(37, "PIN_UNVERIFIABLE", "81", "四.3", "交易密码无法核对, 请到柜台重置", "The transaction password cannot be checked", "Not counted as a try. Operator: see the key file; the holder resets the password at the counter."),
)


def _error(number: int, name: str, status: Status, zh: str, en: str, action: str, *, retryable: bool = False, clause: str = "") -> Reason:
    return Reason(number=number, name=name, status=status, zh=zh, en=en, action=action, retryable=retryable, clause=clause)


ERRORS: Final = (
    _error(200, "REQUEST_MALFORMED", Status.INVALID_ARGUMENT, "请求无法解析", "The message cannot be decoded", "Send a message of the published schema."),
    _error(201, "FIELD_INVALID", Status.INVALID_ARGUMENT, "字段 {field} 无效: {detail}", "Field {field} is invalid: {detail}", "Correct the field."),
    _error(202, "MESSAGE_TOO_LARGE", Status.RESOURCE_EXHAUSTED, "消息过大", "The message is larger than allowed", "Send smaller messages."),
    _error(203, "QUEUE_FULL", Status.RESOURCE_EXHAUSTED, "系统繁忙, 请稍候重试", "The engine's queue is full", "Retry the same key after RetryInfo.", retryable=True),
    _error(204, "RATE_LIMITED", Status.RESOURCE_EXHAUSTED, "请求过于频繁", "The rate limit is reached", "Retry the same key after RetryInfo.", retryable=True),
    _error(205, "STORAGE_NEARLY_FULL", Status.RESOURCE_EXHAUSTED, "系统维护: 存储空间不足, 暂停扣款", "Storage is nearly full: debits are paused", "Operator: free or add space, see doctor.", retryable=True),
    _error(206, "SHUTTING_DOWN", Status.UNAVAILABLE, "系统正在停机", "The server is draining", "Retry the same key after RetryInfo.", retryable=True),
    _error(207, "KEY_LOADING", Status.UNAVAILABLE, "正在读取旧批次", "An older batch is being read", "Retry the same key after RetryInfo.", retryable=True),
    _error(208, "DEADLINE_EXCEEDED", Status.DEADLINE_EXCEEDED, "请求超时, 结果未知", "The deadline passed; the outcome may be known later", "Ask GetTransaction with the key."),
    _error(209, "NOT_FOUND", Status.NOT_FOUND, "{what} 不存在", "{what} not found", "Check the identifier."),
    _error(210, "TRANSACTION_NOT_FOUND", Status.NOT_FOUND, "流水不存在", "No transaction under this key or seq", "It was never decided: it may be sent again."),
    _error(211, "ALREADY_EXISTS", Status.ALREADY_EXISTS, "{what} 已存在", "{what} exists already", "Use the existing one."),
    _error(212, "REQUEST_ID_REUSED", Status.ALREADY_EXISTS, "request_id 已用于其他内容", "request_id was used with another body", "Use a new request_id for a new act."),
    _error(213, "CONFLICT", Status.ABORTED, "状态已变化, 请重试", "The state changed meanwhile", "Read again and retry.", retryable=True),
    _error(214, "TABLE_FULL", Status.RESOURCE_EXHAUSTED, "{table} 已达配置上限", "{table} is at its configured maximum", "Operator: raise the limit in the configuration."),
    _error(215, "STATE_TRANSITION", Status.FAILED_PRECONDITION, "当前状态 {state} 不能 {wanted}; 可以: {legal}", "State {state} does not allow {wanted}; legal: {legal}", "Do one of what is legal."),
    _error(216, "WEAK_PASSWORD", Status.FAILED_PRECONDITION, "密码过于简单 ({rule})", "The password is too easy to guess ({rule})", "Choose one that is no date, number of yours, sequence or former password.", clause="五.2"),
    _error(217, "LIMIT_OVER_CEILING", Status.FAILED_PRECONDITION, "超过个人限额上限 {limit}", "Over the ceiling {limit} for personal limits", "Ask for at most the ceiling."),
    _error(218, "PASSWORD_REFUSED", Status.FAILED_PRECONDITION, "交易密码不正确或已锁定", "The transaction password is wrong or locked", "See the reason of the record in the metadata."),
    _error(219, "REGISTRY_UNAVAILABLE", Status.UNAVAILABLE, "登记库暂不可用", "The registry cannot be used now", "Payments go on; retry later.", retryable=True),
    _error(220, "PAGE_TOKEN_INVALID", Status.INVALID_ARGUMENT, "分页标记无效", "The page token does not belong to this query", "Start again without a token."),
    _error(221, "UNIMPLEMENTED", Status.UNIMPLEMENTED, "尚未提供", "Not offered by this server", "See the method's documentation."),
    _error(222, "INTERNAL", Status.INTERNAL, "系统错误 {incident}", "Internal error {incident}", "Report the incident number."),
    _error(223, "VERIFY_FAILED", Status.DATA_LOSS, "校验失败", "Verification found a difference", "Stop and restore from the mirror."),
    _error(224, "CHANNEL_TXN_REUSED", Status.ALREADY_EXISTS, "渠道流水号已入账", "The channel transaction id was credited already", "Nothing more to do."),
    _error(225, "BALANCE_NOT_ZERO", Status.FAILED_PRECONDITION, "账户尚有余额或预扣, 不能注销", "The account still holds money or holds", "Pay the balance out, wait for the holds."),
    _error(300, "SESSION_REQUIRED", Status.UNAUTHENTICATED, "请先登录", "Nobody is signed in, or no longer", "Sign in: campuscard staff sign-in NAME, or campuscard holder sign-in NUMBER."),
    _error(301, "FORBIDDEN", Status.PERMISSION_DENIED, "没有权限 {permission}, 需要角色: {roles}", "Not allowed: {permission} is for {roles}", "Ask somebody with one of these roles."),
    _error(302, "SIGN_IN_REFUSED", Status.UNAUTHENTICATED, "姓名、密码或验证码不正确, 或已锁定", "Name, password or code is wrong, or locked after too many wrong ones", "Check them, wait for the next code; after five wrong ones wait 15 minutes."),
    _error(303, "ENROLMENT_REQUIRED", Status.PERMISSION_DENIED, "请先设置密码和动态验证码", "Set a password and enrol for codes first", "campuscard staff sign-in NAME asks for both."),
    _error(304, "NOT_ABOUT_ONESELF", Status.FAILED_PRECONDITION, "不能决定自己的账号和角色", "Nobody decides about their own roles", "Another security administrator does it."),
    _error(305, "LAST_ADMIN", Status.FAILED_PRECONDITION, "至少保留一名安全管理员", "The last security administrator stays", "Create another SEC_ADMIN who has signed in first."),
    _error(306, "ROLE_EXCLUSIVE", Status.FAILED_PRECONDITION, "安全管理员不得兼任其他角色", "SEC_ADMIN goes with no other role", "Give the role to another member."),
    _error(307, "STAFF_PASSWORD_WEAK", Status.FAILED_PRECONDITION, "密码过弱 ({rule}), 至少 {shortest} 个字符", "The password is too weak ({rule}): at least {shortest} characters", "Choose a longer one that is not the name."),
    _error(308, "TOTP_REFUSED", Status.FAILED_PRECONDITION, "动态验证码不正确", "The code does not fit the offered authenticator", "Check the clock of the device, send the code it shows now."),
    _error(309, "REASON_REQUIRED", Status.INVALID_ARGUMENT, "请说明理由 ({field} 或 --reason)", "Say why: {field}, or --reason", "State the reason in the request, or with the call: campuscard --reason TEXT.", clause="八.3"),
    _error(320, "HOLDER_ERASED", Status.FAILED_PRECONDITION, "该持卡人资料已清除", "What identified the holder was erased", "Nothing can be added to an erased holder."),
    _error(321, "HOLDER_STATUS", Status.FAILED_PRECONDITION, "状态 {state} 不能变为 {wanted}; 可变为: {legal}", "A holder in status {state} cannot become {wanted}; legal: {legal}", "See the table of holders' statuses."),
    _error(322, "ROSTER_TOO_LONG", Status.FAILED_PRECONDITION, "文件超过 {rows} 行", "The file has more than {rows} rows", "Split the file."),
    _error(323, "FILE_TOO_LARGE", Status.FAILED_PRECONDITION, "文件超过 {allowedBytes} 字节", "The file is larger than {allowedBytes} bytes", "Split the file."),
    _error(324, "ROW_FIELD_MISSING", Status.FAILED_PRECONDITION, "{field}: 未填写", "{field}: is empty", "Fill it in."),
    _error(325, "ROW_FIELD_FORM", Status.FAILED_PRECONDITION, "{field}: 格式不符 ({detail})", "{field}: not of its form ({detail})", "Correct it in the file."),
    _error(326, "ROW_CELL", Status.FAILED_PRECONDITION, "{field} {cell}: 单元格不是文本 ({detail})", "{field} {cell}: the cell is no text ({detail})", "Format the column as text, then enter the values again."),
    _error(327, "ROW_ID_CHECK", Status.FAILED_PRECONDITION, "{field}: 校验码不符", "{field}: the check character does not fit", "Compare it with the ID card."),
    _error(328, "ROW_DUPLICATE", Status.FAILED_PRECONDITION, "{field}: 与第 {line} 行重复", "{field}: stands in line {line} already", "Take one of both lines out."),
    _error(329, "ROW_NUMBER_TAKEN", Status.FAILED_PRECONDITION, "{field}: 已是另一类持卡人的账号", "{field}: is the number of another kind of holder", "Student and staff numbers share one space: give another number."),
    _error(330, "ROW_CLASS_OTHER", Status.FAILED_PRECONDITION, "{field}: 不是 {class}", "{field}: is not {class}", "Import the class it belongs to, or all classes."),
    _error(331, "ROW_ID_SHARED", Status.FAILED_PRECONDITION, "{field}: 与 {account} 相同", "{field}: {account} gave the same", "Find out whether one person has two numbers."),
    _error(332, "ROW_PHOTO_MISSING", Status.FAILED_PRECONDITION, "{field}: 未填写, 只能制临时卡", "{field}: is empty, only a temporary card can be made", "Send a photo."),
    _error(333, "ROW_PHOTO_NAME", Status.FAILED_PRECONDITION, "{field}: 应为 姓名+学号(工号).jpg", "{field}: must be name and number, then .jpg", "Rename the photo."),
    _error(340, "PHOTO_NAME", Status.FAILED_PRECONDITION, "照片文件名应为 姓名+学号(工号).jpg, 且与登记相符", "The file is named name and number of a holder, then .jpg", "Rename the photo."),
    _error(341, "PHOTO_NOT_JPEG", Status.FAILED_PRECONDITION, "照片不是 JPG 格式", "The content is no JPEG", "Save the photo as JPEG; a new name does not make it one."),
    _error(342, "PHOTO_TOO_LARGE", Status.FAILED_PRECONDITION, "照片超过 {allowedBytes} 字节", "The photo is larger than {allowedBytes} bytes", "Save it smaller."),
    _error(343, "PHOTO_SIDES", Status.FAILED_PRECONDITION, "照片 {width}×{height} 超过 {side}×{side} 像素", "The photo has {width}x{height} pixels, more than {side}x{side}", "Scale it down."),
    _error(344, "PHOTO_UNREADABLE", Status.FAILED_PRECONDITION, "照片无法解码", "The photo cannot be decoded", "Save the photo again."),
    _error(345, "PHOTO_NOT_ATTESTED", Status.FAILED_PRECONDITION, "请确认照片为近期正面免冠照", "Nobody said that it is a recent portrait from the front", "Look at the photo, then send it with recent_frontal."),
    _error(346, "PHOTO_TWICE", Status.FAILED_PRECONDITION, "压缩包内有同名照片", "The archive has this photo twice", "Take one of both out."),
    _error(347, "ENTRY_REFUSED", Status.FAILED_PRECONDITION, "压缩包内的文件不符合要求: {detail}", "The entry of the archive is refused: {detail}", "Put plain photos into the archive, without folders."),
    _error(348, "PHOTO_LOST", Status.DATA_LOSS, "照片文件缺失或损坏", "The stored photo is missing or damaged", "Operator: restore photos/ from its backup."),
    _error(350, "NOT_YOUR_CLASS", Status.PERMISSION_DENIED, "只能办理本班学生的业务", "The holder is of another class than yours", "Ask the class's own teacher, or the card centre.", clause="三.4(3)"),
    _error(351, "CARD_STATE", Status.FAILED_PRECONDITION, "卡状态 {state} 不能 {wanted}; 可办: {legal}", "A card in state {state} cannot {wanted}; it can: {legal}", "Do one of what is legal.", clause="三.1-三.5"),
    _error(352, "CARD_EXISTS", Status.ALREADY_EXISTS, "该账户已有未作废的卡 {card}", "The account has card {card}, which is not void", "A lost card is replaced, a temporary one upgraded.", clause="五.1"),
    _error(353, "CHANNEL_NOT_ALLOWED", Status.FAILED_PRECONDITION, "此业务只能在 {allowed} 办理", "This is done by {allowed} only", "Come to the card centre with the card.", clause="三.3"),
    _error(354, "OUTSIDE_SERVICE_HOURS", Status.FAILED_PRECONDITION, "不在办理时间, 下次开放: {opens}", "Outside the hours of the counter; it opens {opens}", "Come then; a supervisor may allow one act with a reason.", clause="三.4(4)"),
    _error(355, "NOT_LOST", Status.FAILED_PRECONDITION, "该卡未挂失", "The card is not reported lost", "Report the loss first.", clause="三.3, 三.4(1)"),
    _error(356, "CARD_MISMATCH", Status.FAILED_PRECONDITION, "出示的卡与记录不符", "The card presented is not the one it is about", "Present the right card.", clause="三.3, 三.4(3)"),
    _error(357, "REPLACED", Status.FAILED_PRECONDITION, "已补办新卡, 原卡作废", "A new card was made: the old one is void", "Use the new card.", clause="三.3"),
    _error(358, "CASE_EXISTS", Status.ALREADY_EXISTS, "该账户已有补卡单 {case}", "The account has replacement case {case} already", "Go on with it, or cancel it.", clause="三.4(3)"),
    _error(359, "CASE_STATE", Status.FAILED_PRECONDITION, "补卡单状态 {state} 不能 {wanted}; 可办: {legal}", "A case in state {state} cannot {wanted}; it can: {legal}", "Do one of what is legal.", clause="三.4"),
    _error(360, "DOCS_INCOMPLETE", Status.FAILED_PRECONDITION, "手续不全, 缺: {missing}", "The papers are incomplete: {missing} missing", "Bring what is missing.", clause="三.4(3)"),
    _error(361, "FEE_AMOUNT_MISMATCH", Status.FAILED_PRECONDITION, "工本费应为 {fee}, 收据为 {paid}", "The fee is {fee}, the receipt says {paid}", "Pay exactly the fee.", clause="三.4(2), 三.5"),
    _error(362, "RECEIPT_ALREADY_USED", Status.ALREADY_EXISTS, "收据号已使用过", "The receipt number was used before", "A receipt counts once for ever.", clause="三.4(2)"),
    _error(363, "RECEIPT_IMAGE_REQUIRED", Status.FAILED_PRECONDITION, "请先上传收据图像, 或由财务室确认", "Attach the receipt's image first, or have the finance office confirm", "Attach the image, or ask the finance office.", clause="三.4(2)"),
    _error(364, "REPLACE_WAIT", Status.FAILED_PRECONDITION, "挂失后须等待, {until} 起可制卡", "The new card may be made from {until} on", "Wait until then.", clause="三.4"),
    _error(365, "SELF_APPROVAL", Status.PERMISSION_DENIED, "须由另一人复核", "Another person has to approve", "Ask somebody else.", clause="六.3"),
    _error(366, "PHOTO_REQUIRED", Status.FAILED_PRECONDITION, "没有合格照片", "The holder has no valid photo", "Upload the photo first.", clause="三.1(3)(4)"),
    _error(367, "NOT_TEMPORARY", Status.FAILED_PRECONDITION, "不是临时卡", "The card is not a temporary one", "A formal card is renewed or replaced.", clause="三.1(4)"),
    _error(368, "NOT_CLEARED", Status.FAILED_PRECONDITION, "尚未结清: {reasons}", "Not cleared: {reasons}", "Return the card or compensate it; settle the debt, and an open water transfer: campuscard office settle-transfer.", clause="三.5(3)"),
    _error(369, "NO_CARD", Status.FAILED_PRECONDITION, "该账户没有有效的卡", "The account has no card that is not void", "Issue one first.", clause="三.1"),
    _error(370, "CASE_CARD", Status.FAILED_PRECONDITION, "补办的新卡须由本人领取启用", "A replacement is activated when its holder picks it up", "Use the pick-up of the case.", clause="三.4(3)"),
    _error(371, "MEDIA_FULL", Status.FAILED_PRECONDITION, "该账户介质已达上限", "The account has as many media as it may have", "Take one off first.", clause="五.1"),
    _error(372, "FILE_REFUSED", Status.FAILED_PRECONDITION, "文件不符合要求: {detail}", "The file is refused: {detail}", "Send a file as required.", clause="三.1(3)"),
    _error(373, "SUSPENDED", Status.FAILED_PRECONDITION, "已处于暂停状态", "It is suspended already", "Resume it first.", clause="八.1"),
    _error(374, "NOT_SUSPENDED", Status.FAILED_PRECONDITION, "未被暂停", "It is not suspended", "Nothing to resume.", clause="八.1"),
    _error(375, "ALERT_CLOSED", Status.FAILED_PRECONDITION, "该告警已处理", "The alert was acknowledged already", "Nothing more to do.", clause="七.5"),
    _error(376, "TRANSFER_WAITS", Status.FAILED_PRECONDITION, "热水机仍可能回报此笔转款, {until} 起可结清", "The water machine may still tell what became of the transfer: it is settled from {until} on", "Wait until then.", clause="四.6"),
    _error(377, "TRANSFER_CARD_TELLS", Status.FAILED_PRECONDITION, "原卡仍可能说明是否写卡: 请再刷热水机, {until} 起可由柜台结清", "The card may still tell what was written on it: the counter settles the transfer from {until} on", "Tap the card at a water machine; or wait, or settle it once the card is void or given back.", clause="四.6"),
    _error(378, "TRANSFER_OPEN", Status.FAILED_PRECONDITION, "有未结清的热水转款 (seq {seq}), 请先结清", "A transfer to the water purse is still open (seq {seq})", "Settle it: campuscard office settle-transfer ACCOUNT SEQ written|not-written.", clause="三.5, 四.6"),
    _error(420, "PARAMETER_VALUE", Status.FAILED_PRECONDITION, "{key} 的值无效, 应为: {allowed}", "Not a value of {key}; it must be: {allowed}", "Propose a value of this range.", clause="六.3"),
    _error(421, "PARAMETER_ORDER", Status.FAILED_PRECONDITION, "{key} ({value}) 不得高于 {other} ({otherValue})", "{key} ({value}) would be above {other} ({otherValue}) at some time", "Change the other first, or for the same time.", clause="四.3, 六.3"),
    _error(422, "EFFECTIVE_PAST", Status.FAILED_PRECONDITION, "生效时间早于现在", "The effective time has passed", "Choose a time to come, or none: at approval.", clause="六.3"),
    _error(423, "PROPOSAL_STATE", Status.FAILED_PRECONDITION, "该提案已是 {state}", "The proposal is {state} already", "Make a new proposal.", clause="六.3"),
    _error(424, "NOT_YOUR_PROPOSAL", Status.PERMISSION_DENIED, "只有提案人可以撤回", "Only who made a proposal takes it back", "A checker may reject it.", clause="六.3"),
    _error(425, "CHANGE_IN_FORCE", Status.FAILED_PRECONDITION, "该变更已生效, 不能取消", "The change is in force already", "Propose another value.", clause="六.3"),
    _error(426, "CHANGE_CANCELLED", Status.FAILED_PRECONDITION, "该变更已取消", "The change was cancelled already", "Nothing more to do.", clause="六.3"),
    _error(427, "PROPOSALS_FULL", Status.RESOURCE_EXHAUSTED, "待复核提案已达 {limit} 件", "{limit} proposals wait already", "Approve, reject or withdraw some first.", clause="六.3"),
    _error(428, "WHAT_IF_BUSY", Status.RESOURCE_EXHAUSTED, "已有试算在进行", "Another what-if is running", "Try again when it has ended.", retryable=True),
    _error(429, "INTEGRITY_BROKEN", Status.UNAVAILABLE, "数据完整性校验失败, 已停止授权", "The journal or the rules fail their check: nothing is decided", "Operator: see the log, verify, restore from the mirror.", retryable=True, clause="六.3, 七.2"),
    _error(400, "QUERY_PASSWORD_REFUSED", Status.UNAUTHENTICATED, "学号 (工号) 或查询密码不正确, 或自助服务已锁定", "Number or query password is wrong, or self-service is locked after too many wrong ones", "Check them. The card centre resets a query password, and takes a loss report at its counter.", clause="三.2, 四.4"),
    _error(401, "SELF_SERVICE_LOCKED", Status.FAILED_PRECONDITION, "查询密码错误次数过多, 自助服务已锁定", "Too many wrong query passwords: self-service is locked", "Wait until the lock ends, or have the card centre reset the query password.", clause="三.2"),
    _error(402, "QUERY_PASSWORD_WRONG", Status.FAILED_PRECONDITION, "原查询密码不正确 (剩 {triesLeft} 次)", "The present query password is wrong ({triesLeft} tries left)", "Enter the present one; the card centre resets a forgotten one.", clause="四.4"),
    _error(403, "PASSWORD_MISMATCH", Status.FAILED_PRECONDITION, "两次输入的新密码不一致", "The new password and its repetition differ", "Enter the new password twice alike.", clause="四.4"),
    _error(404, "PASSWORD_UNCHANGED", Status.FAILED_PRECONDITION, "新密码与原密码相同", "The new password is the present one", "Choose another one.", clause="四.4"),
    _error(405, "PASSWORDS_EQUAL", Status.FAILED_PRECONDITION, "交易密码与查询密码不得相同", "Transaction and query password must differ", "Choose another one.", clause="四.3"),
    _error(406, "IDENTITY_MISMATCH", Status.FAILED_PRECONDITION, "证件号码与登记不符", "The ID number is not the one on file", "Compare it with the holder's document.", clause="三.2, 五.5"),
    _error(407, "INITIAL_PASSWORD", Status.PERMISSION_DENIED, "请先修改初始查询密码", "The initial query password must be changed first", "campuscard holder change-query-password; a loss may be reported at once.", clause="五.2"),
    _error(440, "ZONE_OPEN", Status.FAILED_PRECONDITION, "应急开放, 请通行", "The zone stands open: pass", "Let everybody pass.", clause="四.2"),
    _error(441, "ZONE_LOCKED", Status.FAILED_PRECONDITION, "应急封闭, 禁止进入", "The zone is locked: nobody enters", "Wait until it works again.", clause="四.2"),
    _error(442, "HOLDER_ON_LEAVE", Status.FAILED_PRECONDITION, "休学期间不能通行", "The holder is on leave", "Ask the student affairs office.", clause="八.1"),
    _error(443, "HOLDER_LEFT", Status.FAILED_PRECONDITION, "已离校", "The holder has left the school", "Ask the student affairs office.", clause="三.5"),
    _error(444, "NOT_ADMITTED", Status.FAILED_PRECONDITION, "无此区域通行权限", "Not admitted to this zone", "Ask the card centre for a group of the zone.", clause="四.2"),
    _error(445, "OUTSIDE_WINDOW", Status.FAILED_PRECONDITION, "不在通行时间", "Outside the hours of the zone", "Come in the hours of the group.", clause="四.2"),
    _error(446, "PASSBACK", Status.FAILED_PRECONDITION, "重复进入, 未记录离开", "Entered before, and no exit since", "Leave through a gate first; or wait.", clause="五.1"),
    _error(447, "FACE_ONLY", Status.FAILED_PRECONDITION, "人脸不能作为唯一介质, 请先办卡或绑定手机", "The face is never the only carrier: no card or phone works", "Get the card or phone in order first.", clause="四.1"),
    _error(448, "QR_INVALID", Status.FAILED_PRECONDITION, "二维码无效", "Not a code of this server", "Show a new code.", clause="四.1"),
    _error(449, "QR_EXPIRED", Status.FAILED_PRECONDITION, "二维码已过期", "The code has expired", "Show a new code.", clause="四.1"),
    _error(450, "QR_USED", Status.FAILED_PRECONDITION, "二维码已使用", "The code was used before", "Show a new code.", clause="四.1"),
    _error(451, "PHONE_REQUIRED", Status.FAILED_PRECONDITION, "未绑定手机", "No phone is bound", "Have the phone bound at the card centre.", clause="四.1"),
    _error(452, "GATE_TAKEN", Status.FAILED_PRECONDITION, "终端 {terminal} 已属于另一区域", "Terminal {terminal} guards another zone", "Take it out of the other zone first.", clause="四.2"),
    _error(453, "CONSENT_INVALID", Status.FAILED_PRECONDITION, "同意书不符: {field}", "The consent is not in order: {field}", "Send when it was given, and to which text.", clause="四.1"),
    _error(454, "GUARDIAN_REQUIRED", Status.FAILED_PRECONDITION, "未满十四周岁须监护人同意", "Under fourteen a guardian consents", "Ask the guardian.", clause="四.1"),
    _error(455, "FACE_ENROLMENT_REQUIRED", Status.FAILED_PRECONDITION, "人脸须凭同意书登记", "A face is bound with a consent", "Use EnrolFace and WithdrawFace of AccessService.", clause="四.1"),
)

REASONS: Final = OUTCOMES + ERRORS
BY_NAME: Final = {reason.name: reason for reason in REASONS}
BY_NUMBER: Final = {reason.number: reason for reason in REASONS}
