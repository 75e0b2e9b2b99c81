"""``campuscard param`` against a running campus: what maker and checker type, what scripts read."""

import json
import os
import subprocess
import sys

import pytest

from campuscard.v1.staff_service_pb2 import ListActsRequest
from tests.campus import ROOT, Campus


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield running


@pytest.fixture(scope="module")
def param(campus):
    """Run a command as a member; returns exit code and JSON, or text."""

    def run(*arguments, by=None, text=False, lang="en", group="param"):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}",
            "CAMPUSCARD_ADDRESS": campus.address,
            "CAMPUSCARD_TOKEN": (by or campus.staff).token,
            "CAMPUSCARD_LANG": lang,
            "TZ": "Asia/Shanghai",
        }
        more = [] if text else ["--output", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "clients.admin.cli", group, *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if text:
            return done.returncode, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_from_the_proposal_to_the_history(campus, param):
    why = ("--reason", "院务会 2024-7")
    code, proposed = param("propose", "day_limit_fen", "15000", "--from", "2024-03-14", *why)
    assert (code, proposed["value"]) == (0, "15000")
    number = str(proposed["proposal"])
    code, refused = param("approve", number)
    assert (code, refused["error"]["reason"]) == (1, "SELF_APPROVAL")
    code, waiting = param("proposals")
    assert [row["proposal"] for row in waiting] == [proposed["proposal"]]
    code, approved = param("approve", number, by=campus.checker)
    assert (code, approved["version"]) == (0, 1)
    code, shown = param("show", "day_limit_fen")
    assert (shown["value"], shown["next"]["value"]) == ("10000", "15000")
    code, versions = param("history", "day_limit_fen")
    assert [version["reason"] for version in versions] == ["院务会 2024-7"]
    code, words = param("list", text=True)
    assert code == 0
    assert "15000 @ 2024-03-14 00:00:00" in words
    code, words = param("show", "day_limit_fen", text=True, lang="zh")
    assert "日消费限额" in words
    code, cancelled = param("cancel", str(approved["change"]), *why)
    assert param("approve", str(cancelled["proposal"]), by=campus.checker)[1]["version"] == 0
    assert param("history", "day_limit_fen")[1][0]["cancelled_seq"] > 0


def test_rejected_and_withdrawn(campus, param):
    one, two = (
        str(param("propose", "qr_seconds", seconds, "--reason", "x")[1]["proposal"])
        for seconds in ("20", "30")
    )
    assert param("withdraw", one)[0] == 0
    assert param("reject", two, "--reason", "no", by=campus.checker)[0] == 0
    code, rows = param("proposals", "--state", "all")
    assert {row["state"] for row in rows} >= {"withdrawn", "rejected"}
    code, refused = param("propose", "qr_seconds", "61", "--reason", "x")
    assert (code, refused["error"]["reason"]) == (1, "PARAMETER_VALUE")


def test_meals_categories_and_calendar(campus, param):
    code, proposed = param("meals", "--set", "全天 00:00-23:59", "--reason", "考试周")
    assert (code, proposed["value"]) == (0, "全天 00:00-23:59")
    assert "LUNCH" in param("meals", text=True)[1]
    code, proposed = param(
        "category",
        *("7", "--code", "GYM", "--zh", "健身", "--en", "Gym"),
        *("--flags", "day,spend", "--reason", "新健身房"),
    )
    assert proposed["value"] == "GYM;健身;Gym;DAY,SPEND"
    campus.approve(proposed["proposal"])
    assert param("category")[1][-1]["code"] == "GYM"
    added = ("add", "GYM-1", "--name", "健身房", "--category", "gym")
    assert param(*added, group="merchant")[0] == 0
    assert [row["category"] for row in param("list", group="merchant")[1]] == ["gym"]
    added = ("add", "GYM-2", "--name", "健身房", "--category", "pool")
    assert param(*added, group="merchant", text=True)[0] == 2
    assert param("category", "8", "--flags", "x", text=True)[0] == 2
    code, proposed = param("calendar", "2024-03-15", "--set", "CLOSED", "--reason", "停电")
    campus.approve(proposed["proposal"])
    code, words = param("calendar", "2024-03-13", "--days", "3", text=True)
    assert "14:30-17:00" in words
    assert "closed" in words


def test_why_a_merchant_or_a_terminal_is_changed_is_journaled(campus, param):
    campus.terminal("WHY-1", merchant="WHY", category="SHOP", sign_in=False)
    made = ("--name", "缘由", "--category", "shop")
    for arguments, field in (
        (("status", "WHY", "suspended"), "reason"),
        (("terminal-status", "WHY-1", "suspended"), "reason"),
        (("add", "WHY-2", *made), ""),
        (("add-terminal", "WHY-3", "--merchant", "WHY"), ""),
    ):
        if field:
            code, refused = param(*arguments, group="merchant")
            assert (code, refused["error"]["reason"]) == (1, "REASON_REQUIRED")
        why = f"院务会 {arguments[0]}"
        code, done = param(*arguments, "--reason", why, group="merchant")
        assert code == 0
        acts = campus.staff.stub("StaffService").ListActs(ListActsRequest(page_size=50)).acts
        (act,) = (one for one in acts if one.seq == int(done["act"]["seq"]))
        assert act.reason == why


def test_what_if_from_the_shell(campus, param):
    holder = campus.open_account(top_up_fen=20_000)
    till = campus.terminal("S-1", merchant="S", category="SHOP")
    assert till.pay(holder, 4_000).reason == "OK"
    when = ("--from", "2024-03-13", "--to", "2024-03-13")
    code, result = param("what-if", "day_limit_fen=3999", *when)
    assert (code, result["scope"]) == (0, "replayed")
    (total,) = (count for count in result["counts"] if count["by"] == "TOTAL")
    assert (total["kind"], total["count"], total["amount_fen"]) == ("asked", 1, 4_000)
    code, words = param("what-if", "day_limit_fen=3999", *when, text=True)
    assert holder.account_no in words
    code, words = param("what-if", "card_fee_fen=1", *when, text=True)
    assert "papers" in words
    assert param("what-if", "day_limit_fen", *when, text=True)[0] == 2
    assert param("what-if", *when, text=True)[0] == 2
    shop = "category.5=SHOP;商店;Shops;"
    code, words = param("what-if", f"{shop}DAY", *when, text=True)
    assert (code, "Shops" in words, "refused" in words) == (0, True, True)
    code, words = param("what-if", f"{shop}DAY,SPEND,SUBSIDY", *when, text=True)
    assert (code, "nobody can say: category.5" in words) == (0, True)
    meals = ("meals", "DAY 06:00-20:00", "--reason", "one meal")
    proposal = param("propose", *meals)[1]["proposal"]
    code, result = param("what-if", "--proposal", str(proposal), "meal_limit_fen=1", *when)
    assert (code, result["scope"], result["counts"]) == (0, "replayed", [])
