"""Requests of the counter, one to every method that makes an act: see ``tests.every_act``."""

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import roster_pb2 as roster_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.cards import JPEG, uid
from tests.every_act import ID_NUMBER, INITIAL, PIN, builds, count
from tests.rosters import archive, archive_requests, as_csv, import_requests, jpeg, row
from tests.staff import REASON

# ---- accounts ----


@builds("AccountService.OpenAccount")
def _(world):
    return accounts_pb.OpenAccountRequest(
        account_no=f"N{next(count)}", kind=accounts_pb.HOLDER_KIND_STUDENT, name="张三"
    )


@builds("AccountService.BindMedium")
def _(world):
    medium = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_MOBILE_QR, token=uid())
    return accounts_pb.BindMediumRequest(account_no=world.holder().account_no, medium=medium)


@builds("AccountService.UnbindMedium")
def _(world):
    return accounts_pb.UnbindMediumRequest(medium=world.gates.phone(world.holder())[1])


@builds("AccountService.SetAccountStatus")
def _(world):
    status = accounts_pb.ACCOUNT_STATUS_CLOSING
    return accounts_pb.SetAccountStatusRequest(account_no=world.holder().account_no, status=status)


@builds("AccountService.SetPersonalLimits")
def _(world):
    return accounts_pb.SetPersonalLimitsRequest(
        account_no=world.holder().account_no, day_limit_fen=5_000
    )


@builds("AccountService.SetTransactionPassword")
def _(world):
    return accounts_pb.SetTransactionPasswordRequest(
        account_no=world.holder().account_no, old_pin=INITIAL, new_pin=PIN
    )


@builds("AccountService.ResetTransactionPassword")
def _(world):
    return accounts_pb.ResetTransactionPasswordRequest(
        account_no=world.holder().account_no, id_number=ID_NUMBER
    )


@builds("AccountService.ResetQueryPassword")
def _(world):
    return accounts_pb.ResetQueryPasswordRequest(
        account_no=world.holder().account_no, id_number=ID_NUMBER
    )


@builds("AccountService.TopUp")
def _(world):
    return accounts_pb.TopUpRequest(
        account_no=world.holder().account_no,
        source=accounts_pb.TOP_UP_SOURCE_CASH,
        channel_txn_id=f"E-{next(count)}",
        amount_fen=100,
    )


@builds("AccountService.GrantSubsidy")
def _(world):
    return accounts_pb.GrantSubsidyRequest(account_no=world.holder().account_no, amount_fen=100)


@builds("AccountService.EraseHolder")
def _(world):
    holder = world.holder()
    holder.set_status("CLOSING")
    holder.set_status("CLOSED")
    return accounts_pb.EraseHolderRequest(account_no=holder.account_no)


# ---- rosters, photos, cards ----


@builds("CardOfficeService.ImportHolders")
def _(world):
    content = as_csv([row(str(200572000000 + next(count)))])
    return list(import_requests(world.campus, content))


@builds("CardOfficeService.UploadPhoto")
def _(world):
    holder = world.holder()
    return roster_pb.UploadPhotoRequest(
        file_name=f"张三{holder.account_no}.jpg", content=jpeg(), recent_frontal=True
    )


@builds("CardOfficeService.UploadPhotoArchive")
def _(world):
    photos = [(f"张三{world.holder().account_no}.jpg", jpeg())]
    return list(archive_requests(world.campus, archive(photos)))


@builds("CardOfficeService.ChangeHolder")
def _(world):
    return roster_pb.ChangeHolderRequest(account_no=world.holder().account_no, name="张三丰")


@builds("CardOfficeService.IssueCards")
def _(world):
    account_no = world.holder(card=False).account_no
    return cards_pb.IssueCardsRequest(items=[cards_pb.IssueItem(account_no=account_no, uid=uid())])


@builds("CardOfficeService.HandOver")
def _(world):
    return cards_pb.HandOverRequest(batch=world.batch()[0])


@builds("CardOfficeService.ActivateCards")
def _(world):
    return cards_pb.ActivateCardsRequest(uids=[world.batch()[1]])


@builds("CardOfficeService.RenewCard")
def _(world):
    holder = world.holder(card=False)
    card = uid()
    world.desk.issue((holder.account_no, card))
    world.desk("ActivateCards", uids=[card])
    return cards_pb.RenewCardRequest(account_no=holder.account_no)


@builds("CardOfficeService.UpgradeTemporary")
def _(world):
    holder = world.holder(card=False)
    card = uid()
    world.desk.issue((holder.account_no, card))
    world.desk("ActivateCards", uids=[card])
    world.desk.photo("张三", holder.account_no)
    return cards_pb.UpgradeTemporaryRequest(account_no=holder.account_no, uid=uid())


@builds("CardOfficeService.ReportLoss")
def _(world):
    return cards_pb.ReportLossRequest(account_no=world.holder().account_no)


@builds("CardOfficeService.Unloss")
def _(world):
    holder = world.lost()
    return cards_pb.UnlossRequest(account_no=holder.account_no, medium=holder.medium)


@builds("CardOfficeService.OpenReplacement")
def _(world):
    return cards_pb.OpenReplacementRequest(account_no=world.lost().account_no)


@builds("CardOfficeService.AttachDocument")
def _(world):
    return cards_pb.AttachDocumentRequest(
        case_no=world.case(), paper=cards_pb.CASE_PAPER_FORM, content=JPEG
    )


@builds("CardOfficeService.ConfirmFee")
def _(world):
    return cards_pb.ConfirmFeeRequest(
        case_no=world.case(),
        receipt_no=f"R-{next(count)}",
        amount_fen=3_000,
        paid_time_us=world.campus.now_us(),
    )


@builds("CardOfficeService.WaiveFee")
def _(world):
    return cards_pb.WaiveFeeRequest(case_no=world.case())


@builds("CardOfficeService.RefundFee")
def _(world):
    case_no = world.case(papers=True)
    world.desk("CancelCase", case_no=case_no, reason=REASON)
    return cards_pb.RefundFeeRequest(case_no=case_no)


@builds("CardOfficeService.MakeCard")
def _(world):
    return cards_pb.MakeCardRequest(case_no=world.case(papers=True), uid=uid())


@builds("CardOfficeService.FailMake")
def _(world):
    return cards_pb.FailMakeRequest(case_no=world.case(papers=True))


@builds("CardOfficeService.PickUp")
def _(world):
    case_no, card = world.case(papers=True), uid()
    world.desk("MakeCard", case_no=case_no, uid=card)
    return cards_pb.PickUpRequest(case_no=case_no, uid=card)


@builds("CardOfficeService.CancelCase")
def _(world):
    return cards_pb.CancelCaseRequest(case_no=world.case())


@builds("CardOfficeService.ReturnCard")
def _(world):
    holder = world.holder()
    return cards_pb.ReturnCardRequest(account_no=holder.account_no, uid=holder.medium.token)


@builds("CardOfficeService.ReturnCards")
def _(world):
    holder = world.holder(class_name=f"2020级{next(count)}班")
    return cards_pb.ReturnCardsRequest(
        class_name=holder.read().account.class_name, uids=[holder.medium.token]
    )


@builds("CardOfficeService.Compensate")
def _(world):
    return cards_pb.CompensateRequest(
        account_no=world.lost().account_no,
        receipt_no=f"R-{next(count)}",
        amount_fen=3_000,
        paid_time_us=world.campus.now_us(),
    )


@builds("CardOfficeService.IssueCertificate")
def _(world):
    return cards_pb.IssueCertificateRequest(account_no=world.left())


@builds("CardOfficeService.RevokeCertificate")
def _(world):
    issued = world.desk("IssueCertificate", account_no=world.left())
    return cards_pb.RevokeCertificateRequest(certificate_no=issued.certificate_no)


@builds("CardOfficeService.SettleTransfer")
def _(world):
    holder, torn = world.torn()
    return cards_pb.SettleTransferRequest(
        account_no=holder.account_no, hold_seq=torn, end=cards_pb.TRANSFER_END_NOT_WRITTEN
    )


@builds("CardOfficeService.Warn")
def _(world):
    return cards_pb.WarnRequest(account_no=world.holder().account_no)


@builds("CardOfficeService.Suspend")
def _(world):
    return cards_pb.SuspendRequest(account_no=world.holder().account_no)


@builds("CardOfficeService.Resume")
def _(world):
    holder = world.holder()
    holder.suspend()
    return cards_pb.ResumeRequest(account_no=holder.account_no)


@builds("CardOfficeService.OverrideHours")
def _(world):
    return cards_pb.OverrideHoursRequest(
        account_no=world.holder().account_no, operation=cards_pb.COUNTER_OPERATION_UNLOSS
    )


@builds("CardOfficeService.AcknowledgeNotice")
def _(world):
    world.desk("Warn", account_no=world.holder().account_no, reason=REASON)
    (notice,) = world.desk("ListNotices", page_size=1).notices
    return cards_pb.AcknowledgeNoticeRequest(seq=notice.seq)


@builds("CardOfficeService.AcknowledgeAlert")
def _(world):
    lost = world.lost()
    pos = world.campus.terminal(f"ALERT-{next(count)}")
    assert pos.pay(lost, 1).reason == "CARD_LOST"
    alert = world.soon(lambda: world.desk("ListAlerts", account_no=lost.account_no).alerts)[0]
    return cards_pb.AcknowledgeAlertRequest(seq=alert.seq)
