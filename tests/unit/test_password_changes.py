import pytest

from core import password_changes as rules
from core.facts import AccountFacts
from core.ids import InitialPassword
from core.parameters import Values
from core.password_changes import KnownPasswords, PasswordKind, QueryState
from core.passwords import KnownNumbers, id_hash, keyed_hash, query_tag
from core.plans import EffectKind
from core.refusals import Refusal
from core.roster import derive_person
from core.rows import AccountStatus

KEY = bytes(range(32))
ACCOUNT_NO = "200571020316"
ID_NUMBER = "44070320050812123X"
INITIAL = "812123"
PIN, QUERY = "904617", "lantern-42"
ENFORCE = Values({})
WARN = Values({"weak_password_mode": "WARN"})
SECOND_US = 1_000_000


def known(*, transaction=(), query=(), id_number=ID_NUMBER):
    """Return what is known after these passwords, the present one first."""
    person, initial = derive_person(
        account_no=ACCOUNT_NO,
        name="张三",
        class_name="",
        phone="13800138000",
        id_number=id_number,
        rule=InitialPassword.SKIP,
        key=KEY,
    )

    def hashes(texts):
        return tuple(keyed_hash(KEY, ACCOUNT_NO, text) for text in texts)

    assert person.query_tag == query_tag(KEY, ACCOUNT_NO, initial)
    return KnownPasswords(
        key=KEY,
        numbers=KnownNumbers(account_no=ACCOUNT_NO, phone="13800138000"),
        personal=frozenset(person.weak_hashes),
        initial_tag=person.query_tag,
        id_hash=person.id_hash,
        used={PasswordKind.TRANSACTION: hashes(transaction), PasswordKind.QUERY: hashes(query)},
    )


def account(status=AccountStatus.NORMAL, *, erased=False):
    return AccountFacts(
        number=5,
        account_no=ACCOUNT_NO,
        kind=1,
        name="张三",
        class_name="",
        erased=erased,
        status=status,
        day_limit=None,
        meal_limit=None,
        must_change=True,
        open_time_us=0,
    )


def reason_of(judge, *arguments):
    """Return reason and rule of a judgement; two empty ones: it is good."""
    try:
        judge(*arguments)
    except Refusal as refusal:
        return refusal.reason.name, refusal.metadata.get("rule", "")
    return "", ""


@pytest.mark.parametrize(
    ("new", "reason", "rule"),
    [
        ("888888", "WEAK_PASSWORD", "DEFAULT"),
        ("710203", "WEAK_PASSWORD", "ACCOUNT_NO"),
        ("050812", "WEAK_PASSWORD", "PERSONAL"),
        ("123456", "WEAK_PASSWORD", "SEQUENCE"),
        ("121230", "WEAK_PASSWORD", "PERSONAL"),
        (INITIAL, "WEAK_PASSWORD", "PERSONAL"),
        ("380013", "WEAK_PASSWORD", "PHONE"),
        (PIN, "", ""),
    ],
)
@pytest.mark.clause("五.2b")
def test_a_first_change_of_the_transaction_password(new, reason, rule):
    """Regulation 五.2b."""
    assert reason_of(rules.judge_transaction, INITIAL, new, known(), ENFORCE) == (reason, rule)


@pytest.mark.clause("四.3a")
def test_both_passwords_differ_in_both_directions():
    """Regulation 四.3: two passwords."""
    after = known(transaction=("530918",), query=(PIN,))
    assert reason_of(rules.judge_transaction, "530918", PIN, after, ENFORCE)[0] == "PASSWORDS_EQUAL"
    after = known(transaction=(PIN,))
    assert reason_of(rules.judge_query, INITIAL, PIN, after, ENFORCE)[0] == "PASSWORDS_EQUAL"
    passport = known(transaction=(PIN,), id_number="E1234567")
    values = Values({"weak_password_mode": "WARN", "query_password_min": "6"})
    assert reason_of(rules.judge_transaction, PIN, "888888", passport, values)[0] == (
        "PASSWORDS_EQUAL"
    ), "the initial query password counts, too"


@pytest.mark.parametrize(
    ("new", "reason", "rule"),
    [
        ("518903", "WEAK_PASSWORD", "TOO_SHORT"),
        ("20050812", "WEAK_PASSWORD", "PERSONAL"),
        (ACCOUNT_NO, "WEAK_PASSWORD", "ACCOUNT_NO"),
        ("lantern-41", "PASSWORD_UNCHANGED", ""),
        ("lantern-40", "WEAK_PASSWORD", "RECENT"),
        ("lantern-38", "", ""),
        ("灯笼灯笼灯笼灯笼", "FIELD_INVALID", ""),
        ("５１８９０３２７", "FIELD_INVALID", ""),
        ("with space", "FIELD_INVALID", ""),
        ("", "FIELD_INVALID", ""),
        ("x" * 65, "FIELD_INVALID", ""),
        (QUERY, "", ""),
    ],
)
def test_a_change_of_the_query_password(new, reason, rule):
    used = known(query=("lantern-41", "lantern-40", "lantern-39", "lantern-38"))
    assert reason_of(rules.judge_query, "lantern-41", new, used, ENFORCE) == (reason, rule)


def test_warned_passwords_pass_and_say_why():
    used = known(transaction=("530918", "640917"))
    assert rules.judge_transaction("530918", "123456", used, WARN) == "SEQUENCE"
    assert rules.judge_transaction("530918", "640917", used, WARN) == "RECENT"
    assert rules.judge_query(INITIAL, "12345678", known(), WARN) == "SEQUENCE"
    assert reason_of(rules.judge_transaction, "530918", "530918", used, WARN)[0] == (
        "PASSWORD_UNCHANGED"
    )
    assert reason_of(rules.judge_query, INITIAL, "518903", known(), WARN)[1] == "TOO_SHORT"


@pytest.mark.parametrize(("history", "refused"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (10, 3)])
def test_so_many_do_not_come_back(history, refused):
    """The present one is counted in, and told of by PASSWORD_UNCHANGED alone."""
    earlier = ("640917", "750916", "860915")
    used = known(transaction=("530918", *earlier))
    values = Values({"password_history": str(history)})
    reasons = [reason_of(rules.judge_transaction, "530918", e, used, values) for e in earlier]
    assert [reason[1] == "RECENT" for reason in reasons] == [i < refused for i in range(3)]
    assert reason_of(rules.judge_transaction, "000001", "530918", used, values) == ("", ""), (
        "a guess of the present one is the engine's to count"
    )


def test_the_counter_gives_back_the_initial_password_to_the_right_person():
    assert rules.initial_of(ID_NUMBER, known(), ENFORCE) == INITIAL
    assert rules.initial_of(f" {ID_NUMBER.lower()} ", known(), ENFORCE) == INITIAL
    zero = Values({"initial_password_rule": "ZERO"})
    assert rules.initial_of(ID_NUMBER, known(), zero) == "121230"
    assert rules.initial_of("E1234567", known(id_number="E1234567"), ENFORCE) == "888888"
    assert rules.initial_of("", known(id_number=""), ENFORCE) == "888888"
    for other in ("", "440703200508121213", "E1234567"):
        assert reason_of(rules.initial_of, other, known(), ENFORCE)[0] == "IDENTITY_MISMATCH"
    assert known().id_hash == id_hash(KEY, ID_NUMBER)


def test_who_is_gone_has_no_passwords():
    rules.refuse_gone(account())
    gone = account(AccountStatus.CLOSED)
    assert reason_of(rules.refuse_gone, gone)[0] == "ACCOUNT_CLOSED"
    erased = account(AccountStatus.CLOSED, erased=True)
    assert reason_of(rules.refuse_gone, erased)[0] == "HOLDER_ERASED"


def test_plans():
    changed = rules.set_transaction(account(), old=INITIAL, new=PIN, sealed=b"s")
    assert (changed.pin_account, changed.pin, changed.effects[0].pin) == (5, INITIAL, PIN)
    assert changed.document.sealed == b"s"
    reset = rules.reset_transaction(account(), initial=INITIAL, sealed=b"s")
    assert (reset.pin_account, reset.effects[0].kind) == (0, EffectKind.PIN_RESET)
    for plan in (
        rules.set_query(account(), sealed=b"s"),
        rules.reset_query(account(), sealed=b"s"),
    ):
        assert not plan.effects
    assert PIN not in repr(changed)


def test_wrong_tries_are_counted_and_lock():
    """Regulation 三.2c: five wrong ones lock self-service for a day, then the count begins again."""
    state = QueryState(
        number=5,
        account_no=ACCOUNT_NO,
        sealed=b"",
        tag=b"",
        initial=True,
        fails=0,
        locked_until_us=0,
    )
    counted = []
    for now_us in range(1, 8):
        document = rules.fail_query(state, now_us=now_us, values=ENFORCE).document
        counted.append((document.fails, document.locked_until_us))
        state = QueryState(
            number=5,
            account_no=ACCOUNT_NO,
            sealed=b"",
            tag=b"",
            initial=True,
            fails=document.fails,
            locked_until_us=document.locked_until_us,
        )
        if state.locked_until_us:
            break
    until_us = 5 + 86_400 * SECOND_US
    assert counted == [(1, 0), (2, 0), (3, 0), (4, 0), (5, until_us)]
    assert state.locked_at(until_us - 1)
    assert not state.locked_at(until_us)
    begun_again = rules.fail_query(state, now_us=until_us, values=ENFORCE).document
    assert (begun_again.fails, begun_again.locked_until_us) == (1, 0)


def test_repetition():
    rules.check_repeated("a", "a")
    assert reason_of(rules.check_repeated, "a", "b")[0] == "PASSWORD_MISMATCH"
    assert reason_of(rules.check_six_digits, "old_pin", "１２３４５６")[0] == "FIELD_INVALID"
