"""``campuscard office``: cards given back, compensation, clearance, certificates, refunds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from campuscard.v1 import card_office_service_pb2 as pb
from clients.admin.accounts import AccountArgument
from clients.admin.calls import DEFAULT_ADDRESS, AddressOption, Services
from clients.admin.certificates import CertificateError, verify
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    print_fields,
    print_json,
    print_table,
    tr,
    yuan,
)
from clients.admin.office_calls import (
    ACT_S,
    act,
    end_items,
    print_list,
    read,
    read_pages,
    uid_of,
)
from clients.admin.office_cards import (
    CardOption,
    ClassOption,
    LimitOption,
    ReasonOption,
    moment_us,
)
from clients.admin.office_cases import NeededReason, PaidOption, ReceiptOption
from clients.admin.office_roster import DryRunOption, app
from clients.admin.payments import amount, local_time
from clients.admin.plain import plain, reason_words
from clients.admin.words import label

FILE_MAX: Final = 1 << 20
"""Bytes of a file of UIDs or of a key at most."""

KeyFile = Annotated[
    Path, typer.Option("--key", dir_okay=False, help=tr("公钥文件。", "File of the public key."))
]


@app.command("return", help=tr("退一张卡。", "Take one card back."))
def return_card(
    account: AccountArgument,
    uid: CardOption,
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take one card back."""
    request = pb.ReturnCardRequest(account_no=account, uid=uid_of(uid), reason=reason)
    act(
        address,
        "ReturnCard",
        request,
        output=output,
        text=tr(f"已退卡 {account}", f"{account} returned"),
    )


@app.command("return-class", help=tr("毕业班集体退卡。", "Take a class's cards back."))
def return_class(
    group: Annotated[str, typer.Argument(metavar="CLASS")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help=tr("每行一个 UID; - 为标准输入。", "A UID a line; - is standard input."),
        ),
    ],
    dry_run: DryRunOption = False,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take the cards of a class back; foreign cards are named with their owner."""
    uids = [uid_of(line.strip()) for line in _lines(file) if line.strip()]
    request = pb.ReturnCardsRequest(class_name=group, uids=uids, dry_run=dry_run)
    with Services(address) as services:
        response = services.act(services.office.ReturnCards, request, timeout_s=ACT_S)
    if output is Output.JSON:
        print_json(plain(response))
        end_items(list(response.results), output)
        return
    rows = [
        [
            uids[item.index].hex().upper(),
            item.account_no,
            reason_words(item) or label(pb.CardState.DESCRIPTOR, item.state),
        ]
        for item in response.results
        if dry_run or item.reason
    ]
    if rows:
        print_table(tr("UID 持卡人 结果", "UID owner result").split(), rows)
    if response.missing:
        print_table([tr("未退", "missing")], [[account] for account in response.missing])
    verb = tr("可退", "Would return") if dry_run else tr("已退", "Returned")
    done(
        tr(
            f"{verb} {response.returned} 张, 未退 {len(response.missing)} 人",
            f"{verb} {response.returned}, {len(response.missing)} missing",
        )
    )
    end_items(list(response.results), output)


def _lines(file: str) -> list[str]:
    try:
        text = sys.stdin.read(FILE_MAX) if file == "-" else _text(Path(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}", code=Exit.LOCAL) from error
    return text.splitlines()


def _text(path: Path) -> str:
    if path.stat().st_size > FILE_MAX:
        raise Failure(f"{path}: {FILE_MAX} bytes at most", code=Exit.LOCAL)
    return path.read_text(encoding="utf-8")


@app.command("compensate", help=tr("遗失赔偿。", "Take the fee for a lost card."))
def compensate(
    account: AccountArgument,
    receipt: ReceiptOption,
    amount_yuan: Annotated[str, typer.Option("--amount", help=tr("元。", "Yuan."))],
    paid: PaidOption = "",
    reason: ReasonOption = "",
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take the fee for a lost card instead of the card."""
    request = pb.CompensateRequest(
        account_no=account,
        receipt_no=receipt,
        amount_fen=amount(amount_yuan),
        paid_time_us=moment_us(paid) or time.time_ns() // 1_000,
        reason=reason,
    )
    act(
        address,
        "Compensate",
        request,
        output=output,
        text=tr(f"已赔偿 {account}", f"{account} paid"),
    )


@app.command("clearance", help=tr("离校结清情况。", "Whether a holder may leave."))
def clearance(
    account: AccountArgument,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say whether a holder may leave; exit code 1 when not."""
    found = read(address, "GetClearance", pb.GetClearanceRequest(account_no=account))
    if output is Output.JSON:
        print_json(plain(found))
    else:
        print_fields(
            {
                tr("结清", "Cleared"): tr("是", "yes")
                if found.cleared
                else ", ".join(found.reasons),
                tr("欠款", "Debt"): yuan(found.debt_fen) if found.debt_fen else "",
                tr("应退", "To pay out"): yuan(found.refund_fen) if found.refund_fen else "",
                tr("可退起", "From"): local_time(found.refund_from_us)
                if found.refund_from_us
                else "",
                tr("证明", "Certificate"): str(found.certificate_no or ""),
                tr("未结清转款", "Open transfer"): str(found.transfer_seq or ""),
            },
            title=account,
        )
    if not found.cleared:
        text = tr(f"{account} 尚未结清", f"{account} is not cleared")
        raise Failure(text, told=output is Output.JSON)


@app.command("certificate", help=tr("开具结清证明。", "Issue a certificate of clearance."))
def certificate(
    account: AccountArgument,
    qr: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help=tr("二维码文件 .svg 或 .png。", "QR code: .svg or .png.")
        ),
    ] = None,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Issue a certificate and, if asked, write its QR code."""
    request = pb.IssueCertificateRequest(account_no=account)
    text = tr(f"已开证明 {account}", f"Certificate for {account}")
    response = act(address, "IssueCertificate", request, output=output, text=text)
    if output is Output.TEXT:
        print(response.certificate)
    if qr is not None:
        wanted = pb.GetCertificateRequest(certificate_no=response.certificate_no)
        shown = read(address, "GetCertificate", wanted)
        _write(qr, shown.qr_png if qr.suffix == ".png" else shown.qr_svg.encode("utf-8"))


@app.command("revoke-certificate", help=tr("撤销证明。", "Revoke a certificate."))
def revoke_certificate(
    number: Annotated[int, typer.Argument(metavar="NUMBER")],
    reason: NeededReason,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Revoke a certificate."""
    request = pb.RevokeCertificateRequest(certificate_no=number, reason=reason)
    act(address, "RevokeCertificate", request, output=output, text=tr("已撤销", "Revoked"))


@app.command("clearance-key", help=tr("导出公钥与撤销名单。", "Write the public key."))
def clearance_key(
    file: Annotated[Path, typer.Argument(dir_okay=False)],
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write what certificates are verified with offline: the public key and what was revoked."""
    found = read(address, "GetClearanceKey", pb.GetClearanceKeyRequest())
    _write(file, (json.dumps(plain(found), indent=2) + "\n").encode("ascii"))
    if output is Output.JSON:
        print_json({"file": str(file), "revoked": len(found.revoked)})
    else:
        done(str(file))


@app.command("verify-certificate", help=tr("离线验证证明。", "Verify a certificate offline."))
def verify_certificate(
    text: Annotated[str, typer.Argument(metavar="CERTIFICATE")],
    key: KeyFile,
    output: OutputOption = Output.TEXT,
) -> None:
    """Verify a certificate with the public key alone; exit code 4 when it is worth nothing."""
    try:
        values: dict[str, Any] = json.loads(_text(key))
        public_key, revoked = bytes.fromhex(values["public_key"]), values.get("revoked", [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{key}: {error}", code=Exit.LOCAL) from error
    try:
        found = verify(text, public_key, revoked=revoked)
    except CertificateError as error:
        raise Failure(str(error), code=Exit.CHECK_FAILED) from error
    issued = local_time(found.issued_s * 1_000_000)
    if output is Output.JSON:
        print_json(
            {
                "account_no": found.account_no,
                "certificate_no": found.certificate_no,
                "issued_s": found.issued_s,
            }
        )
    else:
        done(
            tr(
                f"{found.account_no} 已结清, {issued}",
                f"{found.account_no} was cleared at {issued}",
            )
        )


@app.command("refunds", help=tr("应退余额。", "Balances to pay out."))
def refunds(
    group: ClassOption = "",
    limit: LimitOption = 10_000,
    address: AddressOption = DEFAULT_ADDRESS,
    output: OutputOption = Output.TEXT,
) -> None:
    """List balances to pay out."""
    request = pb.ListRefundsRequest(class_name=group)
    found = read_pages(address, "ListRefunds", request, "refunds", limit)
    rows = [
        [row.account_no, row.name, yuan(row.amount_fen), local_time(row.returned_time_us)]
        for row in found
    ]
    print_list(found, output, tr("账号 姓名 金额 退卡时间", "account name amount returned"), rows)
    if output is Output.TEXT:
        total = yuan(sum(row.amount_fen for row in found))
        done(tr(f"{len(found)} 人, 合计 {total}", f"{len(found)} holders, {total}"))


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=Exit.LOCAL) from error
