"""What a terminal is asked to do, and what must be true of it afterwards.

The one rule behind all cases: who was shown APPROVED has paid exactly once, everybody else nothing,
whatever becomes of the line, the server or the terminal's own power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from clients.admin.console import tr
from clients.certify.campus import LIMITED, LOST, MAIN, PIN, POOR, ROLES, TERMINAL, WRONG_PIN
from clients.certify.proxy import Fault, Harm
from clients.certify.run import Run, body_of, key_of

ENOUGH: Final = 3
SALES: Final = frozenset({"Authorize", "AuthorizeStream", "AuthorizeBatch"})
UNDOES: Final = frozenset({"Reverse", "Refund"})
ENDS: Final = ("APPROVED", "NOT_PAID")


@dataclass(frozen=True, slots=True)
class Script:
    """A case: its name, its words, and what is done."""

    name: str
    words: str
    play: Callable[[Run], None]
    optional: bool = False


SCRIPTS: Final[list[Script]] = []


def script(
    name: str, zh: str, en: str, *, optional: bool = False
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Enter a function into the list of cases."""

    def enter(play: Callable[[Run], None]) -> Callable[[Run], None]:
        SCRIPTS.append(Script(name, tr(zh, en), play, optional))
        return play

    return enter


def _struck(run: Run, fault: Fault) -> None:
    what = tr("故障已发生", "calls that met the fault")
    run.check(what, 1, fault.struck, vital=True)


# -- a quiet day ----------------------------------------------------------------------------------


@script("purchase", "消费一笔", "A purchase")
def _purchase(run: Run) -> None:
    before = run.before(MAIN)
    shown = run.tap("MAIN", 1_250)
    run.shows(shown, "APPROVED")
    run.charged(MAIN, before, 1_250)
    if shown.balance_fen is not None:
        what = tr("显示的余额", "balance shown")
        run.check(what, before.online_fen - 1_250, shown.balance_fen)
    run.check(tr("已签到", "signed in"), True, run.campus.batch() > 0)


@script("two purchases", "同卡连刷两笔, 各记一笔", "Two purchases by one card are two charges")
def _two(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 300), "APPROVED")
    run.shows(run.tap("MAIN", 300), "APPROVED")
    run.charged(MAIN, before, 600)


@script("unknown card", "未知卡拒绝", "An unknown card is declined")
def _unknown(run: Run) -> None:
    run.shows(run.tap("UNKNOWN", 400), "DECLINED")


@script("lost card", "挂失卡拒绝", "A card reported lost is declined")
def _lost(run: Run) -> None:
    before = run.before(LOST)
    run.shows(run.tap("LOST", 400), "DECLINED")
    run.charged(LOST, before, 0)


@script("too little money", "余额不足拒绝", "More than there is is declined")
def _poor(run: Run) -> None:
    before = run.before(POOR)
    run.shows(run.tap("POOR", 501), "DECLINED")
    run.charged(POOR, before, 0)
    run.shows(run.tap("POOR", 500), "APPROVED")
    run.charged(POOR, before, 500)


# -- the password ---------------------------------------------------------------------------------


@script("meal limit", "超过餐限额要求密码", "Over the meal limit the password is asked for")
def _limit(run: Run) -> None:
    before = run.before(LIMITED)
    run.shows(run.tap("LIMITED", 1_500), "APPROVED")
    shown = run.tap("LIMITED", 1_510)
    run.shows(shown, "PIN_REQUIRED")
    run.shows(run.till.ask("pin", pin=PIN), "APPROVED")
    run.charged(LIMITED, before, 3_010)
    keys = [key_of(sent) for sent in run.sends(*SALES) if _fen(sent) == 1_510]
    run.check(tr("密码随原流水号再发", "the password goes with the same key"), 1, len(set(keys)))


@script("wrong password", "密码错误拒绝, 再试用新流水号", "A wrong password is final for its key")
def _wrong(run: Run) -> None:
    before = run.before(LIMITED)
    run.shows(run.tap("LIMITED", 520, pin=WRONG_PIN), "DECLINED")
    run.charged(LIMITED, before, 0)
    wrong = {key_of(sent) for sent in run.sends(*SALES)}
    run.shows(run.tap("LIMITED", 520, pin=PIN), "APPROVED")
    run.charged(LIMITED, before, 520)
    keys = {key_of(sent) for sent in run.sends(*SALES)}
    run.check(tr("新流水号", "a new key for the next try"), 1, len(keys - wrong))


@script("no password", "不输密码则不扣款", "Who enters no password pays nothing")
def _cancel(run: Run) -> None:
    before = run.before(LIMITED)
    run.shows(run.tap("LIMITED", 530), "PIN_REQUIRED")
    run.shows(run.till.ask("cancel"), "NOT_PAID", "DECLINED")
    run.charged(LIMITED, before, 0)


@script("answer to the password lost", "带密码的应答丢失", "The answer to the password is lost")
def _pin_lost(run: Run) -> None:
    before = run.before(LIMITED)
    run.shows(run.tap("LIMITED", 540), "PIN_REQUIRED")
    with run.proxy.harm(Harm.ANSWER_LOST, SALES) as fault:
        shown = run.till.ask("pin", pin=PIN)
        _struck(run, fault)
    run.shows(shown, *ENDS)
    run.agrees(shown, LIMITED, before, 540)
    run.one_key(*SALES)


# -- the line -------------------------------------------------------------------------------------


@script("answer lost", "应答丢失", "The answer is lost")
def _answer_lost(run: Run) -> None:
    _lose(run, Harm.ANSWER_LOST, 310)


@script("answers lost", "应答连续丢失三次", "The answer is lost three times")
def _answers_lost(run: Run) -> None:
    before = run.before(MAIN)
    methods = SALES | {"GetTransaction"}
    with run.proxy.harm(Harm.ANSWER_LOST, methods, times=ENOUGH) as fault:
        shown = run.tap("MAIN", 320)
        run.check(tr("故障已发生", "calls that met the fault"), True, fault.struck > 1, vital=True)
    run.shows(shown, *ENDS)
    run.agrees(shown, MAIN, before, 320)
    run.one_key(*SALES)


@script("request lost", "请求丢失", "The request is lost")
def _request_lost(run: Run) -> None:
    _lose(run, Harm.REQUEST_LOST, 330)


def _lose(run: Run, harm: Harm, fen: int) -> None:
    before = run.before(MAIN)
    with run.proxy.harm(harm, SALES) as fault:
        shown = run.tap("MAIN", fen)
        _struck(run, fault)
    run.shows(shown, *ENDS)
    run.agrees(shown, MAIN, before, fen)
    run.one_key(*SALES)


@script("silence", "应答迟到, 终端已放弃", "The answer comes after the terminal has given up")
def _silence(run: Run) -> None:
    before = run.before(MAIN)
    with run.proxy.harm(Harm.SILENCE, SALES) as fault:
        shown = run.tap("MAIN", 340)
        _struck(run, fault)
        run.shows(shown, "NOT_PAID")
        run.proxy.speak()
        run.agrees(shown, MAIN, before, 340)


@script("server restart", "服务器断电重启", "The server loses its power and comes back")
def _restart(run: Run) -> None:
    before = run.before(MAIN)
    with run.proxy.harm(Harm.SILENCE, SALES) as fault:
        step = run.begin_tap("MAIN", 350)
        run.until(tr("请求到达", "the request arrives"), lambda: fault.struck)
        run.campus.kill()
        run.proxy.speak()
        run.campus.restart()
        shown = run.finish(step)
    run.shows(shown, *ENDS)
    run.agrees(shown, MAIN, before, 350)


@script("server away", "连接不上服务器", "The server cannot be reached")
def _away(run: Run) -> None:
    before = run.before(MAIN)
    run.proxy.down()
    try:
        shown = run.tap("MAIN", 360)
    finally:
        run.proxy.up()
    run.shows(shown, "NOT_PAID")
    run.charged(MAIN, before, 0)
    run.shows(run.tap("MAIN", 360), "APPROVED")
    run.charged(MAIN, before, 360)


# -- the terminal's own power ---------------------------------------------------------------------


@script("plug pulled", "终端断电, 应答未到", "The terminal loses its power before the answer")
def _plug(run: Run) -> None:
    before = run.before(MAIN)
    with run.proxy.harm(Harm.SILENCE, SALES) as fault:
        run.begin_tap("MAIN", 370)
        run.until(tr("请求到达", "the request arrives"), lambda: fault.struck)
        run.till.pull_plug()
        run.proxy.speak()
    run.till.start(run.server)
    run.charged(MAIN, before, 0)
    run.shows(run.tap("MAIN", 380), "APPROVED")
    run.charged(MAIN, before, 380)


@script("plug pulled after", "终端断电, 应答已到", "The terminal loses its power after the answer")
def _plug_after(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 390), "APPROVED")
    run.till.pull_plug()
    run.till.start(run.server)
    run.charged(MAIN, before, 390)
    run.shows(run.tap("MAIN", 390), "APPROVED")
    run.charged(MAIN, before, 780)


# -- taking back ----------------------------------------------------------------------------------


@script("void", "撤销整笔", "A sale is voided", optional=True)
def _void(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 410), "APPROVED")
    run.shows(run.offered(run.till.ask("void")), "APPROVED")
    run.charged(MAIN, before, 0)


@script("void, answer lost", "撤销的应答丢失", "A void whose answer is lost", optional=True)
def _void_lost(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 420), "APPROVED")
    with run.proxy.harm(Harm.ANSWER_LOST, UNDOES) as fault:
        shown = run.offered(run.till.ask("void"))
        _struck(run, fault)
    run.shows(shown, "APPROVED", "QUEUED")
    run.charged(MAIN, before, 0)


@script("refund", "退一部分, 不得超过原额", "A part is refunded, never too much", optional=True)
def _refund(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 430), "APPROVED")
    run.shows(run.offered(run.till.ask("refund", amount_fen=130)), "APPROVED")
    run.charged(MAIN, before, 300)
    run.shows(run.till.ask("refund", amount_fen=301), "DECLINED")
    run.charged(MAIN, before, 300)


@script("refund, answer lost", "退款的应答丢失", "A refund whose answer is lost", optional=True)
def _refund_lost(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 440), "APPROVED")
    with run.proxy.harm(Harm.ANSWER_LOST, UNDOES) as fault:
        shown = run.offered(run.till.ask("refund", amount_fen=140))
        _struck(run, fault)
    run.shows(shown, "APPROVED", "QUEUED")
    run.charged(MAIN, before, 300)


# -- holds ----------------------------------------------------------------------------------------


@script("hold and capture", "预扣后按实结算", "A hold is captured in part", optional=True)
def _capture(run: Run) -> None:
    before = run.before(MAIN)
    shown = run.till.ask("hold", card=run.campus.uids["MAIN"], amount_fen=600)
    run.shows(run.offered(shown), "APPROVED")
    run.charged(MAIN, before, 0, held=600)
    run.shows(run.till.ask("capture", amount_fen=346), "APPROVED")
    run.charged(MAIN, before, 346)


@script("hold and release", "预扣后释放", "A hold is released", optional=True)
def _release(run: Run) -> None:
    before = run.before(MAIN)
    shown = run.till.ask("hold", card=run.campus.uids["MAIN"], amount_fen=610)
    run.shows(run.offered(shown), "APPROVED")
    run.shows(run.till.ask("release"), "APPROVED")
    run.charged(MAIN, before, 0)


@script("hold, answer lost", "预扣的应答丢失", "A hold whose answer is lost", optional=True)
def _hold_lost(run: Run) -> None:
    before = run.before(MAIN)
    with run.proxy.harm(Harm.ANSWER_LOST, frozenset({"Hold"})) as fault:
        step = run.till.begin("hold", card=run.campus.uids["MAIN"], amount_fen=620)
        shown = run.offered(run.till.end(step))
        _struck(run, fault)
    run.shows(shown, *ENDS)
    run.charged(MAIN, before, 0, held=620 if shown.word == "APPROVED" else 0)
    if shown.word == "APPROVED":
        run.shows(run.till.ask("release"), "APPROVED")
        run.charged(MAIN, before, 0)


@script("capture, answer lost", "结算的应答丢失", "A capture whose answer is lost", optional=True)
def _capture_lost(run: Run) -> None:
    before = run.before(MAIN)
    shown = run.till.ask("hold", card=run.campus.uids["MAIN"], amount_fen=630)
    run.shows(run.offered(shown), "APPROVED")
    with run.proxy.harm(Harm.ANSWER_LOST, frozenset({"Capture"})) as fault:
        shown = run.till.ask("capture", amount_fen=450)
        _struck(run, fault)
    run.shows(shown, "APPROVED", "QUEUED")
    run.charged(MAIN, before, 450)


# -- the day's end --------------------------------------------------------------------------------


@script("balance", "查余额", "The balance is shown", optional=True)
def _balance(run: Run) -> None:
    shown = run.offered(run.till.ask("balance", card=run.campus.uids["MAIN"]))
    run.shows(shown, "DONE")
    run.check(
        tr("显示的余额", "balance shown"), run.campus.purse(MAIN).online_fen, shown.balance_fen
    )


@script(
    "batch closed", "批次被关闭后自动重新签到", "The batch is closed under it: it signs in anew"
)
def _closed(run: Run) -> None:
    before = run.before(MAIN)
    run.shows(run.tap("MAIN", 510), "APPROVED")
    batch = run.campus.batch()
    run.campus.close_batch()
    run.shows(run.tap("MAIN", 510), "APPROVED")
    run.charged(MAIN, before, 1_020)
    run.check(tr("新批次", "a new batch"), True, run.campus.batch() > batch)


# -- the whole run, as the line saw it ------------------------------------------------------------


@script("afterwards", "事后无迟到的扣款", "Nothing moves after a case is over")
def _afterwards(run: Run) -> None:
    for role in ROLES:
        run.before(role)


@script("keys", "全程流水号各有一个内容", "Over the whole run a key is one request")
def _keys(run: Run) -> None:
    bodies: dict[tuple[int, int], set[bytes]] = {}
    for sent in run.proxy.sent:
        key = key_of(sent)
        if key is not None:
            bodies.setdefault(key, set()).add(body_of(sent))
    twice = sorted(key for key, found in bodies.items() if len(found) > 1)
    run.check(tr("用于两个内容的流水号", "keys with two bodies"), [], twice)
    what = tr("无法解读的请求", "requests that cannot be read")
    run.check(what, 0, sum(sent.message is None for sent in run.proxy.sent))
    others = {terminal_of(sent.message) for sent in run.proxy.sent} - {TERMINAL, ""}
    run.check(tr("以其他终端号", "calls as another terminal"), [], sorted(others))


@script("deadlines", "每个调用都有时限", "Every call has a deadline")
def _deadlines(run: Run) -> None:
    without = {
        sent.method
        for sent in run.proxy.sent
        if not sent.timeout and sent.method != "AuthorizeStream"
    }
    run.check(tr("没有 grpc-timeout 的方法", "methods without grpc-timeout"), [], sorted(without))


def terminal_of(message: Any) -> str:
    """Return the terminal a request names; empty: none."""
    for part in ("authorization", "key"):
        if message is not None and part in message.DESCRIPTOR.fields_by_name:
            message = getattr(message, part)
    return getattr(message, "terminal_id", "")


def _fen(sent: Any) -> int:
    message = getattr(sent.message, "authorization", sent.message)
    return getattr(message, "amount_fen", 0)
