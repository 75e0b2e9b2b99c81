"""Faces: with a consent, beside another carrier, given up at will (regulation 四.1a, PIPL 28-31)."""

import datetime as dt

import pytest

from core import accounts, documents, faces, media
from core.access import MediumType
from core.accounts import NewAccount
from core.faces import Consent
from core.facts import AccountFacts, MediumFacts
from core.plans import EffectKind
from core.refusals import Refusal
from core.rows import AccountStatus, MediumBody, MediumFlag, MediumState

NOW_US = 1_710_302_400_000_000
TODAY = 19_795
CONSENT = Consent(given_us=NOW_US, text_version="2025-06", minor=False, guardian=b"")
TOKEN = b"\x01" * 16


def account(**changes):
    values = {
        "number": 5,
        "account_no": "007",
        "kind": 1,
        "name": "",
        "class_name": "",
        "erased": False,
        "status": AccountStatus.NORMAL,
        "day_limit": None,
        "meal_limit": None,
        "must_change": False,
        "open_time_us": 0,
    }
    return AccountFacts(**(values | changes))


def medium(kind=MediumType.RFID_CARD, state=MediumState.ACTIVE, flags=0, number=3):
    return MediumFacts(
        number=number,
        account_number=5,
        type=kind,
        token=b"\x04",
        key=bytes(16),
        state=state,
        flags=MediumFlag(flags),
        expires_day=0,
        lost_seq=0,
        lost_time_us=0,
    )


def enrol(of=None, token=TOKEN, consent=CONSENT, having=None, bound=None):
    return faces.enrol(
        of or account(),
        token,
        consent,
        media=(medium(),) if having is None else having,
        bound=bound,
        now_us=NOW_US,
        today=TODAY,
    )


def refused(name, function, *args, **kwargs):
    with pytest.raises(Refusal) as caught:
        function(*args, **kwargs)
    assert caught.value.reason.name == name


def test_a_face_is_bound_with_its_consent():
    plan = enrol()
    (effect,) = plan.effects
    body = MediumBody.unpack(effect.body)
    assert (effect.kind, effect.link) == (EffectKind.MEDIUM_BIND, 5)
    assert (body.key, body.state) == (media.medium_key(4, TOKEN), MediumState.ACTIVE)
    assert plan.document == documents.access.FaceEnrolled(
        account=5, token=TOKEN, consent_us=NOW_US, text_version="2025-06", minor=0, guardian=b""
    )


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("ACCOUNT_CLOSED", {"of": account(status=AccountStatus.CLOSED)}),
        ("HOLDER_ERASED", {"of": account(erased=True)}),
        ("CONSENT_INVALID", {"consent": Consent(given_us=NOW_US + 1, text_version="1", minor=False, guardian=b"")}),
        ("CONSENT_INVALID", {"consent": Consent(given_us=0, text_version="1", minor=False, guardian=b"")}),
        ("GUARDIAN_REQUIRED", {"consent": Consent(given_us=1, text_version="1", minor=True, guardian=b"")}),
        ("FACE_ONLY", {"having": ()}),
        ("FACE_ONLY", {"having": (medium(flags=MediumFlag.LOST),)}),
        ("ALREADY_EXISTS", {"bound": medium(MediumType.FACE)}),
        ("ALREADY_EXISTS", {"having": (medium(), medium(MediumType.FACE))}),
        ("MEDIA_FULL", {"having": (medium(),) * media.LIVE_MAX}),
    ],
)  # fmt: skip
def test_what_is_refused(reason, facts):
    refused(reason, enrol, **facts)


def test_a_guardian_consents_for_a_child():
    consent = Consent(given_us=1, text_version="1", minor=True, guardian=b"sealed")
    assert enrol(consent=consent).document.minor == 1


def test_a_face_that_was_given_up_may_come_back():
    assert enrol(having=(medium(MediumType.FACE, MediumState.UNBOUND), medium()))


@pytest.mark.parametrize(
    ("born", "minor"),
    [("2010-03-14", True), ("2010-03-13", False), ("2010-03-12", False), ("2024-03-13", True)],
)
def test_fourteen(born, minor):
    today = dt.date(2024, 3, 13)
    assert faces.is_minor(dt.date.fromisoformat(born), today) is minor


def test_born_on_a_leap_day_or_tomorrow():
    leap = dt.date(2008, 2, 29)
    assert faces.is_minor(leap, dt.date(2022, 2, 28))
    assert not faces.is_minor(leap, dt.date(2022, 3, 1))
    refused("FIELD_INVALID", faces.is_minor, dt.date(2024, 3, 14), dt.date(2024, 3, 13))


@pytest.mark.parametrize("flags", range(4))
def test_a_face_is_withdrawn_in_any_state(flags):
    face = medium(MediumType.FACE, flags=flags, number=8)
    plan = faces.withdraw(account(), (medium(), face))
    (effect,) = plan.effects
    assert (effect.kind, effect.row) == (EffectKind.MEDIUM_STATE, 8)
    assert MediumBody.unpack(effect.body).state == MediumState.UNBOUND
    refused("NOT_FOUND", faces.withdraw, account(), (medium(),))


def test_there_is_no_other_way_to_a_face():
    bound = documents.MediumBound(medium_type=MediumType.FACE, medium_token=TOKEN)
    refused(
        "FACE_ENROLMENT_REQUIRED",
        accounts.bind_medium,
        account(),
        bound,
        body=b"",
        bound=None,
        others=(),
    )
    refused("FACE_ENROLMENT_REQUIRED", media.unbind, medium(MediumType.FACE))
    new = NewAccount(number=5, account_no="007", kind=1, sealed=b"", password="", medium_type=4)
    refused("FACE_ENROLMENT_REQUIRED", accounts.open_account, new, known=None, bound=None)


def test_the_hash_of_a_token_needs_the_key():
    first = faces.token_hash(b"k" * 32, b"token")
    assert len(first) == 16
    assert first != faces.token_hash(b"l" * 32, b"token")


def test_the_phone_a_code_is_made_for():
    kind = MediumType.MOBILE_QR
    lost, good = medium(kind, flags=MediumFlag.LOST, number=9), medium(kind, number=8)
    assert faces.usable_phone((medium(), lost, good), TODAY) is good
    refused("CARD_LOST", faces.usable_phone, (medium(), lost), TODAY)
    refused("PHONE_REQUIRED", faces.usable_phone, (medium(),), TODAY)
    refused("PHONE_REQUIRED", faces.usable_phone, (medium(kind, MediumState.UNBOUND),), TODAY)
