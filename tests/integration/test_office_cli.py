"""``campuscard office`` against a running campus: what a clerk types, and what scripts read."""

import json
import os
import subprocess
import sys

import pytest

from tests.campus import ROOT, Campus
from tests.cards import JPEG, uid


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        running.set_time("2024-03-13 14:30")
        yield running


@pytest.fixture(scope="module")
def office(campus):
    """Run a command as the default member; returns exit code and JSON, or text."""

    def run(*arguments, text=False, stdin="", group="office"):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'stubs'}",
            "CAMPUSCARD_ADDRESS": campus.address,
            "CAMPUSCARD_TOKEN": campus.staff.token,
            "CAMPUSCARD_LANG": "en",
            "TZ": "Asia/Shanghai",
        }
        more = [] if text else ["--output", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "clients.admin.cli", group, *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            input=stdin,
        )
        if text:
            return done.returncode, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_issue_a_list_and_use_it(campus, office, tmp_path):
    holders = [campus.open_account(card=False) for _ in range(3)]
    uids = [uid() for _ in holders]
    rows = [f"{h.account_no},{u.hex()}" for h, u in zip(holders, uids, strict=True)]
    file = tmp_path / "cards.csv"
    file.write_text("\n".join(["学工号,卡片UID", *rows, f"NOBODY,{uid().hex()}"]), encoding="utf-8")
    code, dry = office("issue", "--file", str(file), "--dry-run")
    assert (code, dry["dry_run"], dry["batch"]) == (1, True, 0)
    code, issued = office("issue", "--file", str(file))
    assert code == 1, "one was refused"
    assert [item["reason"] for item in issued["results"]] == ["", "", "", "NOT_FOUND"]
    batch = str(issued["batch"])
    code, dry = office("hand-over", batch, "--dry-run")
    assert (code, dry["dry_run"], dry["handed_over"], dry["remaining"]) == (0, True, 3, 0)
    assert [(item["account_no"], item["state"]) for item in dry["results"]] == [
        (holder.account_no, "in_transit") for holder in holders
    ]
    code, words = office("activate", uids[0].hex(), uid().hex(), "--dry-run", text=True)
    assert code == 1, "one is of nobody's"
    for word in (holders[0].account_no, "active", "CARD_UNKNOWN", "1 cards would be activated"):
        assert word in words
    code, dry = office("activate", "--batch", batch, "--dry-run")
    assert (code, dry["activated"]) == (0, 3)
    assert office("hand-over", batch)[1]["handed_over"] == 3
    assert office("activate", "--batch", batch)[1]["activated"] == 3
    code, shown = office("cards", "--batch", batch)
    assert (code, [card["state"] for card in shown]) == (0, ["active"] * 3)
    assert office("batches")[1][0]["cards"] == 3
    code, words = office("cards", "--batch", batch, text=True)
    assert code == 0
    assert all(u.hex().upper() in words for u in uids)


def test_a_replacement_as_the_counter_types_it(campus, office, tmp_path):
    holder = campus.open_account()
    account, card = holder.account_no, uid().hex()
    assert office("replace", "open", account)[1]["error"]["reason"] == "NOT_LOST"
    assert office("lose", account)[1]["media"] == 1
    case = str(office("replace", "open", account)[1]["case_no"])
    paper = tmp_path / "paper.jpg"
    paper.write_bytes(JPEG)
    for kind in ("form", "photo"):
        assert office("replace", "attach", case, kind, str(paper))[0] == 0
    code, wrong = office("make", case, "--card", card)
    assert (code, wrong["error"]["reason"]) == (1, "DOCS_INCOMPLETE")
    paid = ["--paid", "2024-03-13 08:00", "--receipt", "R-778"]
    assert office("fee", case, *paid, "--amount", "25")[1]["error"]["reason"] == (
        "FEE_AMOUNT_MISMATCH"
    )
    assert office("fee", case, *paid, "--amount", "30.00")[1]["state"] == "ready"
    assert office("make", case, "--card", card)[0] == 0
    assert office("notices", "--unread")[1][0]["kind"] == "card_ready"
    code, words = office("unlose", account, "--card", holder.medium.token.hex(), text=True)
    assert code == 1
    assert "REPLACED" in words
    assert office("pick-up", case, "--card", card)[0] == 0
    assert office("replace", "show", case)[1]["case"]["state"] == "picked_up"
    assert office("cases", "--state", "picked_up")[1][0]["account_no"] == account


@pytest.mark.clause("四.6")
def test_a_torn_water_tap_is_shown_tried_and_settled(campus, office):
    holder = campus.open_account(top_up_fen=2_000)
    account = holder.account_no
    water = campus.terminal("W-CLI", merchant="M-W", category="WATER")
    torn = str(water.hold(holder, water=True).seq)
    assert office("return", account, "--card", holder.medium.token.hex())[0] == 0
    settle = ("settle-transfer", account, torn, "not-written")
    why = ("--reason", "log of W-CLI")
    assert office(*settle, text=True)[0] == 2, "a reason is needed"
    assert office(*settle[:-1], "perhaps", *why, text=True)[0] == 2
    code, words = office(*settle, *why, text=True)
    assert code == 1
    assert "TRANSFER_WAITS" in words
    assert "awaiting its machine" in office("show", account, text=True, group="account")[1]
    campus.pass_time(minutes=5)
    code, found = office("clearance", account)
    assert (code, found["reasons"], found["transfer_seq"]) == (1, ["TRANSFER_OPEN"], int(torn))
    assert torn in office("clearance", account, text=True)[1]
    code, dry = office(*settle, *why, "--dry-run")
    assert (code, dry["amount_fen"], dry["held_fen"], "act" in dry) == (0, 1_000, 0, False)
    assert "20.00" in office(*settle, *why, "--dry-run", text=True)[1]
    shown = office("show", account, group="account")[1]
    assert shown["open_transfer"]["seq"] == int(torn)
    assert "to be settled" in office("show", account, text=True, group="account")[1]
    code, words = office(*settle, *why, text=True)
    assert code == 0, words
    assert "20.00" in words
    assert "open_transfer" not in office("show", account, group="account")[1]
    assert office(*settle, *why)[1]["error"]["reason"] == "HOLD_CLOSED"
    assert office("clearance", account)[0] == 0


def test_leaving_and_the_certificate_offline(campus, office, tmp_path):
    holder = campus.open_account(class_name="毕业班", top_up_fen=3_000)
    account, card = holder.account_no, holder.medium.token.hex()
    code, found = office("clearance", account)
    assert (code, found["reasons"]) == (1, ["CARD_NOT_RETURNED"])
    code, dry = office("return-class", "毕业班", "-", "--dry-run", stdin=f"{card}\n")
    assert (code, dry["returned"], dry["missing"]) == (0, 1, [])
    assert office("return-class", "毕业班", "-", stdin=f"{card}\n")[1]["returned"] == 1
    assert office("clearance", account)[0] == 0
    image, key = tmp_path / "qr.svg", tmp_path / "key.json"
    certificate = office("certificate", account, "--qr", str(image))[1]["certificate"]
    assert image.read_text(encoding="utf-8").startswith("<svg")
    assert office("clearance-key", str(key))[0] == 0
    verify = ("verify-certificate", certificate, "--key", str(key))
    assert office(*verify)[1]["account_no"] == account
    body, signature = certificate.rsplit(".", 1)
    forged = f"{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert office("verify-certificate", forged, "--key", str(key))[0] == 4
    assert office("revoke-certificate", "1", "--reason", "误发")[0] == 0
    assert office("clearance-key", str(key))[0] == 0
    code, words = office(*verify, text=True)
    assert code == 4
    assert "revoked" in words
    assert account not in {row["account_no"] for row in office("refunds")[1]}
    campus.pass_time(days=3)
    campus.staff.sign_in()
    due = {row["account_no"]: row["amount_fen"] for row in office("refunds")[1]}
    assert due[account] == 3_000


def test_alerts_are_listed_and_closed_with_a_finding(campus, office):
    holder = campus.open_account(top_up_fen=100)
    holder.lose()
    refused = campus.terminal("POS-07").pay(holder, 1)
    (alert,) = office("alerts", "--open", "--account", holder.account_no)[1]
    assert (alert["seq"], alert["reason"]) == (refused.seq, "CARD_LOST")
    close = ("acknowledge-alert", str(alert["seq"]), "--reason", "已联系失主")
    assert office(*close[:2], text=True)[0] == 2
    assert office(*close)[0] == 0
    assert office(*close)[1]["error"]["reason"] == "ALERT_CLOSED"
    assert office("alerts", "--open")[1] == []
    assert "已联系失主" in office("alerts", text=True)[1]


def test_sanctions_are_given_with_a_reason(campus, office):
    holder = campus.open_account()
    account = holder.account_no
    assert office("warn", account, "--reason", "转借")[1]["warnings"] == 1
    assert office("suspend", account, "--reason", "核查")[0] == 0
    assert office("suspend", account, "--reason", "核查")[1]["error"]["reason"] == "SUSPENDED"
    assert office("resume", account, "--reason", "核实")[0] == 0
    assert office("suspend", "--reason", "x", text=True)[0] == 2
