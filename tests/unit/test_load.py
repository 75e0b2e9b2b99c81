"""Loading a campus against a small office in memory: row by row, twice without a change."""

# ruff: noqa: N802 - methods are named as in the services

import csv
import shutil
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import account_service_pb2_grpc as accounts_grpc
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import merchant_service_pb2_grpc as merchants_grpc
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import parameter_service_pb2_grpc as parameters_grpc
from clients.admin.demo import report_fields
from clients.admin.load import Loader
from clients.campus import FileFormatError
from core.ids import has_valid_check, is_resident_id, parse_request_id

DEMO = Path(__file__).resolve().parents[2] / "demo"


async def refuse(context, code, reason, *, retry_s=None):
    details = [any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="campuscard"))
    if retry_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.nanos = int(retry_s * 1e9)
        details.append(any_pb2.Any())
        details[1].Pack(retry)
    status = status_pb2.Status(code=code.value[0], message=reason.lower(), details=details)
    await context.abort_with_status(rpc_status.to_status(status))


class Office(
    accounts_grpc.AccountServiceServicer,
    merchants_grpc.MerchantServiceServicer,
    parameters_grpc.ParameterServiceServicer,
):
    def __init__(self):
        self.accounts, self.top_ups, self.merchants, self.terminals = {}, {}, {}, {}
        self.values = {"day_limit_fen": "1", "day_ceiling_fen": "70000", "meals": ""}
        self.proposals = {}
        self.busy = 0
        self.acts = 0

    async def act(self, request, context):
        assert parse_request_id(request.request_id)
        if self.busy:
            self.busy -= 1
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_s=0.001)
        self.acts += 1

    async def OpenAccount(self, request, context):
        await self.act(request, context)
        if is_resident_id(request.id_number) and not has_valid_check(request.id_number):
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
        assert request.account_no not in self.accounts
        self.accounts[request.account_no] = request
        return accounts_pb.OpenAccountResponse()

    async def TopUp(self, request, context):
        await self.act(request, context)
        if request.channel_txn_id in self.top_ups:
            await refuse(context, grpc.StatusCode.ALREADY_EXISTS, "CHANNEL_TXN_REUSED")
        self.top_ups[request.channel_txn_id] = request.amount_fen
        return accounts_pb.TopUpResponse()

    async def ListAccounts(self, request, context):
        start = int(request.page_token or 0)
        page = list(self.accounts.values())[start : start + request.page_size]
        more = start + len(page) < len(self.accounts)
        return accounts_pb.ListAccountsResponse(
            accounts=[
                accounts_pb.Account(account_no=r.account_no, name=r.name, class_name=r.class_name)
                for r in page
            ],
            next_page_token=str(start + len(page)) if more else "",
        )

    async def CreateMerchant(self, request, context):
        await self.act(request, context)
        self.merchants[request.merchant_id] = merchants_pb.Merchant(
            merchant_id=request.merchant_id, name=request.name, category=request.category
        )
        return merchants_pb.CreateMerchantResponse()

    async def ListMerchants(self, request, context):
        return merchants_pb.ListMerchantsResponse(merchants=self.merchants.values())

    async def CreateTerminal(self, request, context):
        await self.act(request, context)
        if request.merchant_id not in self.merchants:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        self.terminals[request.terminal_id] = merchants_pb.Terminal(
            terminal_id=request.terminal_id,
            merchant_id=request.merchant_id,
            keypad=request.keypad,
            max_amount_fen=request.max_amount_fen,
        )
        return merchants_pb.CreateTerminalResponse()

    async def ListTerminals(self, request, context):
        return merchants_pb.ListTerminalsResponse(terminals=self.terminals.values())

    async def ListParameters(self, request, context):
        shown = [
            parameters_pb.Parameter(key=key, value=value)
            for key, value in self.values.items()
            if key != "meals"
        ]
        return parameters_pb.ListParametersResponse(parameters=shown, meals=self.values["meals"])

    async def ListProposals(self, request, context):
        shown = [
            parameters_pb.Proposal(proposal=number, key=key, value=value)
            for number, (key, value) in self.proposals.items()
        ]
        return parameters_pb.ListProposalsResponse(proposals=shown)

    async def ListCategories(self, request, context):
        names = ["CANTEEN", "UTILITY", "WATER", "BATH", "SHOP", "ACCESS"]
        shown = [parameters_pb.Category(number=i, code=c) for i, c in enumerate(names, start=1)]
        return parameters_pb.ListCategoriesResponse(categories=shown)

    async def ProposeChange(self, request, context):
        await self.act(request, context)
        if request.key == "day_ceiling_fen" and self.values["day_limit_fen"] == "1":
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "PARAMETER_ORDER")
        self.proposals[self.acts] = (request.key, request.value)
        return parameters_pb.ProposeChangeResponse(proposal=self.acts)

    async def ApproveChange(self, request, context):
        await self.act(request, context)
        key, value = self.proposals.pop(request.proposal)
        self.values[key] = value
        return parameters_pb.ApproveChangeResponse()


@pytest.fixture
async def office():
    office = Office()
    server = grpc.aio.server()
    accounts_grpc.add_AccountServiceServicer_to_server(office, server)
    merchants_grpc.add_MerchantServiceServicer_to_server(office, server)
    parameters_grpc.add_ParameterServiceServicer_to_server(office, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    office.address = f"127.0.0.1:{port}"
    yield office
    await server.stop(0)


@pytest.fixture
def files(tmp_path):
    """The demo campus, with the first 100 students and 20 staff."""
    for path in DEMO.iterdir():
        if path.suffix in {".csv", ".toml"}:
            shutil.copy(path, tmp_path)
    for name, count in (("roster.csv", 100), ("staff.csv", 20)):
        keep(tmp_path / name, count)
    numbers = {row[1] for name in ("roster.csv", "staff.csv") for row in rows_of(tmp_path / name)}
    cards = rows_of(tmp_path / "cards.csv")
    write(tmp_path / "cards.csv", [cards[0], *(row for row in cards if row[0] in numbers)])
    return tmp_path


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def keep(path, count):
    write(path, rows_of(path)[: count + 1])


async def load(office, files, *, checked=True):
    seen = {}
    async with grpc.aio.insecure_channel(office.address) as channel:
        loader = Loader(
            channel,
            progress=lambda *where: seen.update([where[:2]]),
            checker=channel if checked else None,
        )
        report = await loader.load(files)
    return report, seen


async def test_everything_is_loaded_once(office, files):
    report, seen = await load(office, files)
    fields = report_fields(report)
    assert fields["failures"] == []
    assert fields["files"] == {
        "merchants.csv": {"created": 40},
        "terminals.csv": {"created": 305},
        "roster.csv": {"created": 100},
        "staff.csv": {"created": 20},
    }
    assert seen == {"merchants.csv": 40, "terminals.csv": 305, "roster.csv": 100, "staff.csv": 20}
    assert len(office.top_ups) == 120
    assert all(len(request.medium.token) == 7 for request in office.accounts.values())
    assert office.values["day_limit_fen"] == "10000"
    assert office.values["day_ceiling_fen"] == "50000", "after the limit, which had to come first"
    assert "LUNCH 10:00-14:30" in office.values["meals"]
    assert report.rules_changed == len(office.values)
    assert office.accounts["202371010101"].kind == accounts_pb.HOLDER_KIND_STUDENT


async def test_loading_twice_changes_nothing(office, files):
    await load(office, files)
    before = (dict(office.accounts), dict(office.top_ups), dict(office.values))
    report, _ = await load(office, files)
    assert report.failures == []
    assert {name for counts in report.counts().values() for name in counts} == {"unchanged"}
    assert not report.rules_changed
    assert (office.accounts, office.top_ups, office.values) == before


async def test_rules_wait_where_nobody_approves(office, files):
    first, _ = await load(office, files, checked=False)
    again, _ = await load(office, files, checked=False)
    assert (first.rules_changed, again.rules_changed) == (0, 0)
    assert first.rules_waiting == again.rules_waiting == len(office.proposals)
    assert [failure.reason for failure in first.failures] == ["parameter_order (PARAMETER_ORDER)"]


async def test_a_load_cut_short_is_completed_by_the_next(office, files):
    keep(files / "roster.csv", 30)
    await load(office, files)
    office.top_ups.pop("OPENING-202371010101")
    shutil.copy(DEMO / "roster.csv", files)
    keep(files / "roster.csv", 100)
    report, _ = await load(office, files)
    assert report.counts()["roster.csv"] == {"unchanged": 30, "created": 70}
    assert len(office.top_ups) == 120


async def test_bad_rows_are_named_and_stop_nobody(office, files):
    rows = rows_of(files / "roster.csv")
    rows[3][5] = rows[3][5][:-1] + ("0" if rows[3][5][-1] != "0" else "1")  # check character
    rows[5][2] = ""  # no name
    rows.append(["101", *rows[1][1:]])  # the first student again
    rows[7].pop()
    write(files / "roster.csv", rows)
    with (files / "terminals.csv").open("a", encoding="utf-8") as file:
        file.write("POS-999,nobody,是,,\nPOS-998,canteen-1,maybe,,\n")
    with (files / "merchants.csv").open("a", encoding="utf-8") as file:
        file.write("pub,酒吧,PUB\n")
    report, _ = await load(office, files)
    found = {(f.source.file, f.source.line): f.reason for f in report.failures}
    assert found.pop(("roster.csv", 4)) == "field_invalid (FIELD_INVALID)"
    assert found.pop(("roster.csv", 6)) == "姓名 is empty"
    assert found.pop(("roster.csv", 8)) == "8 columns instead of 9"
    assert found.pop(("roster.csv", 102)) == "also in line 2"
    assert found.pop(("terminals.csv", 307)) == "not_found (NOT_FOUND)"
    assert "maybe" in found.pop(("terminals.csv", 308))
    assert "CANTEEN" in found.pop(("merchants.csv", 42))
    # The cards of the two who could not even be read belong to nobody.
    assert set(found.values()) == {"学工号 is in no roster"}
    assert len(found) == 2
    assert len(office.accounts) == 117


async def test_somebody_else_under_a_number_is_not_overwritten(office, files):
    await load(office, files)
    rows = rows_of(files / "roster.csv")
    rows[1][2] = "测试另一人"
    write(files / "roster.csv", rows)
    report, _ = await load(office, files)
    assert [failure.key for failure in report.failures] == ["202371010101"]
    assert "姓名" in report.failures[0].reason


async def test_a_busy_server_is_waited_for(office, files):
    office.busy = 4
    report, _ = await load(office, files)
    assert report.failures == []


async def test_gbk_files_load_the_same(office, files):
    for path in files.glob("*.csv"):
        path.write_bytes(path.read_text(encoding="utf-8").encode("gbk"))
    report, _ = await load(office, files)
    assert report.failures == []
    assert office.accounts["202371010101"].name == "测试乙子"


async def test_a_file_that_cannot_be_used_is_said_so(office, files):
    (files / "rules.toml").write_text("[limits]\nday = 100.0\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="day"):
        await load(office, files)


async def test_a_server_that_is_gone_ends_the_load(office, files, monkeypatch):
    monkeypatch.setattr("clients.admin.load.TRIES", 1)
    office.address = "127.0.0.1:1"
    with pytest.raises(grpc.aio.AioRpcError):
        await load(office, files)
