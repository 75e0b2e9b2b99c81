import itertools

import pytest

from core import accounts, documents, media, merchants
from core.accounts import STATUS_TRANSITIONS, Money, NewAccount, WantedLimits
from core.facts import AccountFacts, MediumFacts, MerchantFacts
from core.plans import EffectKind, Expect, Wallet
from core.refusals import Refusal
from core.rows import (
    LIMIT_DEFAULT,
    AccountBody,
    AccountStatus,
    MediumBody,
    MediumFlag,
    MediumState,
    RulesBody,
    ServiceStatus,
)

ZERO = Money(online=0, held=0, subsidy=0, water=0, last_seq=9)
RULES = RulesBody(version=1)


def account(status=AccountStatus.NORMAL, **changes):
    values = {
        "number": 5,
        "account_no": "200571020316",
        "kind": 1,
        "name": "",
        "class_name": "",
        "erased": False,
        "status": status,
        "day_limit": None,
        "meal_limit": None,
        "must_change": False,
        "open_time_us": 0,
    }
    return AccountFacts(**{**values, **changes})


def medium(state=MediumState.ACTIVE, flags=0, **changes):
    values = {
        "number": 3,
        "account_number": 5,
        "type": 1,
        "token": b"\x04",
        "key": bytes(16),
        "state": state,
        "flags": MediumFlag(flags),
        "expires_day": 0,
        "lost_seq": 0,
        "lost_time_us": 0,
    }
    return MediumFacts(**{**values, **changes})


def refused(name, function, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        function(*args, **kwargs)
    assert caught.value.reason.name == name
    return caught.value


NEW = NewAccount(number=6, account_no="1", kind=1, sealed=b"s", password="812123")


def test_opening_needs_free_names():
    refused("ALREADY_EXISTS", accounts.open_account, NEW, known=account(), bound=None)
    refused("ALREADY_EXISTS", accounts.open_account, NEW, known=None, bound=medium())
    plan = accounts.open_account(NEW, known=None, bound=None)
    assert [effect.kind for effect in plan.effects] == [EffectKind.ACCOUNT_OPEN]
    assert plan.effects[0].expect == Expect.ROW_FREE
    assert "812123" not in repr(plan), "passwords never show"
    assert "812123" not in repr(NEW)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(AccountStatus, AccountStatus)))
def test_every_pair_of_statuses_is_decided(before, after):
    if after in STATUS_TRANSITIONS[before]:
        plan = accounts.set_status(account(before), after, note="", money=ZERO)
        assert AccountBody.unpack(plan.effects[0].body).status == after
        assert plan.effects[0].expect_status == before
    else:
        refusal = refused(
            "STATE_TRANSITION", accounts.set_status, account(before), after, note="", money=ZERO
        )
        legal = set(str(refusal.metadata["legal"]).split(", ")) - {"-", "SUSPEND", "RESUME"}
        assert legal == {status.name for status in STATUS_TRANSITIONS[before]}


def test_nothing_leaves_closed():
    assert not STATUS_TRANSITIONS[AccountStatus.CLOSED]


@pytest.mark.parametrize(
    ("wallet", "reason"),
    [("online", "BALANCE_NOT_ZERO"), ("held", "BALANCE_NOT_ZERO"), ("subsidy", "BALANCE_NOT_ZERO")],
)
def test_closing_needs_empty_wallets(wallet, reason):
    money = Money(**{"online": 0, "held": 0, "subsidy": 0, "water": 0, wallet: 1}, last_seq=9)
    closing = account(AccountStatus.CLOSING)
    refused(reason, accounts.set_status, closing, AccountStatus.CLOSED, note="", money=money)


def test_closing_refuses_debt_and_binds_the_balance_it_saw():
    closing = account(AccountStatus.CLOSING)
    debt = Money(online=-300, held=0, subsidy=0, water=0, last_seq=9)
    found = refused(
        "ACCOUNT_DEBT", accounts.set_status, closing, AccountStatus.CLOSED, note="", money=debt
    )
    assert found.metadata == {"balanceFen": -300}
    plan = accounts.set_status(closing, AccountStatus.CLOSED, note="", money=ZERO)
    assert plan.effects[0].expect == Expect.STATUS | Expect.LAST_SEQ
    assert plan.effects[0].expect_last_seq == 9


def test_limits_fall_freely_and_rise_with_the_password():
    """Regulation 四.3: limits protect the purse; raising them takes its password."""
    lower = accounts.set_limits(account(), WantedLimits(day=9_999), rules=RULES, pin="")
    body = AccountBody.unpack(lower.effects[0].body)
    assert (body.day_limit, body.meal_limit) == (9_999, LIMIT_DEFAULT)
    assert lower.pin_account == 0
    found = refused(
        "PASSWORD_REFUSED",
        accounts.set_limits,
        account(),
        WantedLimits(day=10_001),
        rules=RULES,
        pin="",
    )
    assert found.metadata["reason"] == "PIN_REQUIRED"
    raised = accounts.set_limits(account(), WantedLimits(day=10_001), rules=RULES, pin="904617")
    assert raised.pin_account == 5
    tight = account(day_limit=100)
    refused(
        "PASSWORD_REFUSED",
        accounts.set_limits,
        tight,
        WantedLimits(day=LIMIT_DEFAULT),
        rules=RULES,
        pin="",
    )


@pytest.mark.parametrize(
    ("wanted", "pin", "reason"),
    [
        (WantedLimits(), "", "FIELD_INVALID"),
        (WantedLimits(day=-1), "", "FIELD_INVALID"),
        (WantedLimits(meal=50_001), "904617", "LIMIT_OVER_CEILING"),
        (WantedLimits(day=1), "12", "FIELD_INVALID"),
    ],
)
def test_limits_refused(wanted, pin, reason):
    refused(reason, accounts.set_limits, account(), wanted, rules=RULES, pin=pin)


def test_top_ups_are_taken_until_the_account_is_closed():
    """Regulation 四.5: what was paid is credited, once per transaction of the channel."""
    for status in (AccountStatus.NORMAL, AccountStatus.SUSPENDED, AccountStatus.CLOSING):
        plan = accounts.top_up(
            account(status), source=1, channel_txn_id="wx", amount_fen=1, credited_seq=0
        )
        assert plan.effects[0].debit_wallet is Wallet.CLEARING_WX
    arguments = {"source": 1, "channel_txn_id": "wx", "amount_fen": 1}
    closed = account(AccountStatus.CLOSED)
    refused("ACCOUNT_CLOSED", accounts.top_up, closed, **arguments, credited_seq=0)
    refused("CHANNEL_TXN_REUSED", accounts.top_up, account(), **arguments, credited_seq=4)


def test_phones_are_bound_and_cards_are_issued():
    """Regulation 五.1: a card comes from its office; media in use are few enough for one report."""
    card = documents.MediumBound(medium_type=1, medium_token=b"\x05")
    code = documents.MediumBound(medium_type=2, medium_token=b"q")
    bind = accounts.bind_medium
    refused("FIELD_INVALID", bind, account(), card, body=b"", bound=None, others=())
    refused("ALREADY_EXISTS", bind, account(), code, body=b"", bound=medium(), others=())
    assert bind(account(), code, body=b"", bound=None, others=(medium(),) * 7)
    refused("MEDIA_FULL", bind, account(), code, body=b"", bound=None, others=(medium(),) * 8)
    gone = (medium(MediumState.VOID), medium(MediumState.UNBOUND)) * 8
    assert bind(account(), code, body=b"", bound=None, others=gone)
    closed = account(AccountStatus.CLOSED)
    refused("ACCOUNT_CLOSED", bind, closed, code, body=b"", bound=None, others=())


def test_cards_are_taken_off_only_when_they_were_given_back():
    """RETURNED until it is encoded anew; phones and faces at any time."""
    for state in MediumState:
        card, phone = medium(state), medium(state, type=2)
        if state is MediumState.RETURNED:
            assert media.unbind(card)
        else:
            refused("STATE_TRANSITION", media.unbind, card)
        if state not in {MediumState.VOID, MediumState.UNBOUND}:
            assert MediumBody.unpack(media.unbind(phone).effects[0].body).state == (
                MediumState.UNBOUND
            )


def test_what_is_withdrawn_stays_so():
    gone = MerchantFacts(
        number=1,
        merchant_id="M",
        name="",
        category=1,
        status=ServiceStatus.WITHDRAWN,
        changed_seq=1,
    )
    refused("STATE_TRANSITION", merchants.update_merchant, gone, merchants.WantedMerchant())
