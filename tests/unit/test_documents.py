import json

import pytest

from core import documents
from core.documents import KINDS, SYSTEM, By, DocumentError, decode

SAMPLES = [
    documents.AccountOpened(account_no="007", sealed=b"\x00\xff", medium_token=b""),
    documents.AccountStatusSet(previous=1, note="遗失未还"),
    documents.LimitsSet(),
    documents.MediumBound(medium_type=1, medium_token=b"\x04\xa1"),
    documents.MediumUnbound(),
    documents.ToppedUp(source=1, channel_txn_id="wx-1"),
    documents.SubsidyGranted(label="2024-03"),
    documents.HolderErased(),
    documents.MerchantSet(merchant_id="M1", name="一食堂"),
    documents.TerminalSet(merchant_id="M1", place="一楼"),
    documents.RosterReceived(
        sha256=bytes(32), file_name="2023级1班.xlsx", kind=1, class_name="", rows=45, refused=1
    ),
    documents.HoldersAdded(roster=bytes(32), account_nos=("007", "008"), sealed=(b"\x00", b"\xff")),
    documents.HoldersChanged(roster=b"", numbers=(7,), sealed=(b"\x00",), statuses=(2,), held=(7,)),
    documents.PhotosStored(
        numbers=(7,), addresses=(bytes(32),), widths=(600,), heights=(800,), sizes=(90_000,)
    ),
    documents.cards.CardsIssued(
        batch=1,
        indexes=(1, 2),
        uids=(b"\x04\xa1",),
        types=(1, 2),
        card_nos=(1, 2),
        refused=(1, 2),
        reasons=("CARD_EXISTS",),
    ),
    documents.cards.CardsHandedOver(batch=1),
    documents.cards.CardsActivated(indexes=(1, 2), refused=(1, 2), reasons=("CARD_EXISTS",)),
    documents.cards.LossReported(scope=1),
    documents.cards.LossCancelled(case_no=1, override=1),
    documents.cards.CaseOpened(account=1, case_no=1, card_no=1, fee_fen=1, faulty=1, closes=1),
    documents.cards.PaperAttached(account=1, case_no=1, paper=1, file="R-778", state=1),
    documents.cards.FeeConfirmed(
        account=1, case_no=1, receipt_no="R-778", paid_us=1, early=1, state=1
    ),
    documents.cards.WaiverProposed(account=1, case_no=1),
    documents.cards.FeeWaived(account=1, case_no=1, state=1),
    documents.cards.FeeRefunded(account=1, case_no=1),
    documents.cards.CardMade(case_no=1, card_no=1, uid=b"\x04\xa1", override=1),
    documents.cards.MakeFailed(account=1, case_no=1, card_no=1),
    documents.cards.CardPickedUp(case_no=1, override=1),
    documents.cards.CaseCancelled(account=1, case_no=1),
    documents.cards.CardUpgraded(card_no=1, uid=b"\x04\xa1", override=1),
    documents.cards.CardRenewed(),
    documents.cards.CardsReturned(
        indexes=(1, 2), refused=(1, 2), reasons=("CARD_EXISTS",), owners=(1, 2), override=1
    ),
    documents.cards.ReturnListed(returned=1, missing=(1, 2)),
    documents.cards.CardCompensated(receipt_no="R-778", paid_us=1, early=1),
    documents.cards.CertificateIssued(account=1, certificate_no=1, certificate="R-778"),
    documents.cards.CertificateRevoked(account=1, certificate_no=1),
    documents.cards.HolderWarned(account=1),
    documents.cards.UseSuspended(account=1, medium=1, until_us=1),
    documents.cards.UseResumed(account=1, medium=1),
    documents.cards.HoursOverridden(account=1, operation="R-778", day=1),
    documents.cards.NoticeAcknowledged(account=1, notice=1),
    documents.cards.CloneFrozen(account=1, medium=1, alert=1),
    documents.cards.AlertAcknowledged(account=1, alert=1),
    documents.cards.PurseCounted(account=1, purse=1, water_fen=1, due_us=1, side=1),
    documents.cards.PurseSettled(account=1, purse=1),
    documents.cards.TransferSettled(account=1, hold=1, written=1, purse=1),
    documents.passwords.TransactionPasswordSet(account=1, sealed=b"\x01"),
    documents.passwords.TransactionPasswordReset(account=1, sealed=b"\x01"),
    documents.passwords.QueryPasswordSet(account=1, sealed=b"\x01"),
    documents.passwords.QueryPasswordReset(account=1, sealed=b"\x01"),
    documents.passwords.QueryPasswordFailed(account=1, fails=5, locked_until_us=9),
    documents.passwords.HolderSignedIn(account=1, until_us=9),
    documents.passwords.HolderSignedOut(account=1),
    documents.staff.StaffCreated(
        staff=1, name="admin", grants=("SEC_ADMIN",), secret_mac=b"\x07", secret_until_us=9
    ),
    documents.staff.StaffSignedIn(staff=1, totp_step=57_000_000, until_us=9),
    documents.staff.StaffSignInFailed(staff=1, fails=5, locked_until_us=9),
    documents.staff.StaffSignedOut(staff=1),
    documents.staff.StaffPasswordSet(staff=1, sealed=b"\x01"),
    documents.staff.StaffTotpSet(staff=1, sealed=b"\x02", totp_step=57_000_000),
    documents.staff.StaffRoleGranted(staff=2, role="CLASS_TEACHER", scope="高一(3)班"),
    documents.staff.StaffRoleRevoked(staff=2, role="AUDITOR", scope=""),
    documents.staff.StaffDisabled(staff=2),
    documents.staff.StaffEnabled(staff=2),
    documents.staff.StaffReset(staff=2, secret_mac=b"\x07", secret_until_us=9),
    documents.staff.StaffSessionsRevoked(staff=2, session="0a1b2c3d"),
    documents.parameters.ChangeProposed(key="meals", value="LUNCH 10:00-14:30", effective_us=9),
    documents.parameters.CancellationProposed(change=9),
    documents.parameters.ChangeApproved(
        proposal=9, key="category.7", value="GYM;健身;Gym;DAY", effective_us=0, version=1
    ),
    documents.parameters.CancellationApproved(proposal=9, change=7),
    documents.parameters.ProposalRejected(proposal=9),
    documents.parameters.ProposalWithdrawn(proposal=9),
    documents.access.ZoneSet(
        zone="D1",
        name="一栋",
        kind="DORMITORY",
        terminals=(3,),
        passback=3,
        passback_minutes=10,
        exits=0,
    ),
    documents.access.ZoneEmergencySet(zone="D1", mode=2, previous=1),
    documents.access.GroupSet(
        group="g",
        name="全体",
        zones=("D1",),
        kinds=(1,),
        class_names=("2023级1班",),
        windows=(0, 360, 1380),
        days=(19795,),
        day_windows=(19795, 480, 720),
    ),
    documents.access.MembersPut(group="g", accounts=(7,)),
    documents.access.MembersRemoved(group="g", accounts=(7,)),
    documents.access.PassageDecided(
        terminal=3,
        zone="D1",
        direction=1,
        account=7,
        medium=9,
        medium_type=2,
        granted=1,
        reason=0,
        nonce=b"12345678",
        keep_days=90,
    ),
    documents.access.CarrierPresented(
        terminal=3, account=7, medium=9, medium_type=2, nonce=b"12345678"
    ),
    documents.access.FaceEnrolled(
        account=7, token=bytes(16), consent_us=1, text_version="2025-06", minor=1, guardian=b"\xff"
    ),
    documents.access.FaceWithdrawn(account=7),
]


def test_every_kind_has_a_sample():
    assert {type(sample) for sample in SAMPLES} == set(KINDS.values())


@pytest.mark.parametrize("document", SAMPLES, ids=lambda d: type(d).__name__)
def test_documents_read_back(document):
    assert decode(document.KIND, document.encode()) == (document, SYSTEM)
    by = By(actor="staff:7", role="CARD_OFFICER", channel="COUNTER", reason="补办")
    assert decode(document.KIND, document.encode(by)) == (document, by)


def test_golden_bytes():
    """The bytes are durable: a change of them is a new version."""
    assert SAMPLES[0].encode() == (
        b'{"account_no":"007","medium_token":"","medium_type":0,"sealed":"AP8=","v":1}'
    )
    assert documents.parameters.ProposalRejected(proposal=7).encode() == b'{"proposal":7,"v":1}'
    assert documents.MerchantSet(merchant_id="M", name="食").encode() == (
        '{"merchant_id":"M","name":"食","v":1}'.encode()
    )


NUMBERS = {
    1: "AccountOpened",
    2: "AccountStatusSet",
    3: "LimitsSet",
    6: "MediumBound",
    8: "MediumUnbound",
    9: "ToppedUp",
    10: "SubsidyGranted",
    11: "HolderErased",
    16: "MerchantSet",
    17: "TerminalSet",
    32: "RosterReceived",
    33: "HoldersAdded",
    34: "HoldersChanged",
    35: "PhotosStored",
    48: "CardsIssued",
    49: "CardsHandedOver",
    50: "CardsActivated",
    51: "LossReported",
    52: "LossCancelled",
    53: "CaseOpened",
    54: "PaperAttached",
    55: "FeeConfirmed",
    56: "WaiverProposed",
    57: "FeeWaived",
    58: "FeeRefunded",
    59: "CardMade",
    60: "MakeFailed",
    61: "CardPickedUp",
    62: "CaseCancelled",
    63: "CardUpgraded",
    64: "CardRenewed",
    65: "CardsReturned",
    66: "ReturnListed",
    67: "CardCompensated",
    68: "CertificateIssued",
    69: "CertificateRevoked",
    70: "HolderWarned",
    71: "UseSuspended",
    72: "UseResumed",
    73: "HoursOverridden",
    74: "NoticeAcknowledged",
    75: "CloneFrozen",
    76: "AlertAcknowledged",
    77: "PurseCounted",
    78: "PurseSettled",
    79: "TransferSettled",
    80: "TransactionPasswordSet",
    81: "TransactionPasswordReset",
    82: "QueryPasswordSet",
    83: "QueryPasswordReset",
    84: "QueryPasswordFailed",
    85: "HolderSignedIn",
    86: "HolderSignedOut",
    96: "StaffCreated",
    97: "StaffSignedIn",
    98: "StaffSignInFailed",
    99: "StaffSignedOut",
    100: "StaffPasswordSet",
    101: "StaffTotpSet",
    102: "StaffRoleGranted",
    103: "StaffRoleRevoked",
    104: "StaffDisabled",
    105: "StaffEnabled",
    106: "StaffReset",
    107: "StaffSessionsRevoked",
    112: "ChangeProposed",
    113: "CancellationProposed",
    114: "ChangeApproved",
    115: "CancellationApproved",
    116: "ProposalRejected",
    117: "ProposalWithdrawn",
    128: "ZoneSet",
    129: "ZoneEmergencySet",
    130: "GroupSet",
    131: "MembersPut",
    132: "MembersRemoved",
    133: "PassageDecided",
    134: "CarrierPresented",
    135: "FaceEnrolled",
    136: "FaceWithdrawn",
}


def test_kind_numbers_are_durable():
    assert {number: kind.__name__ for number, kind in KINDS.items()} == NUMBERS


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (99, b'{"v":1}'),
        (3, b'{"v":2}'),
        (3, b"{}"),
        (3, b"[]"),
        (3, b"\xff"),
        (3, b""),
        (3, b'{"v":1} '),
        (3, b'{"v":1,"x":1}'),
        (3, b'{"by":{"actor":"system"},"v":1}'),
        (3, b'{"by":{"actor":"staff:7","x":""},"v":1}'),
        (3, b'{"by":7,"v":1}'),
        (7, b'{"event":"3","v":1}'),
        (7, b'{"event":true,"v":1}'),
        (6, json.dumps({"medium_type": 1, "medium_token": "?", "v": 1}).encode()),
        (116, b'{"proposal":"7","v":1}'),
    ],
)
def test_what_is_not_known_is_refused(kind, payload):
    with pytest.raises(DocumentError):
        decode(kind, payload)
