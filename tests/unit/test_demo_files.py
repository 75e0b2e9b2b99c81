"""The committed demo campus: reproducible, valid in form, and nobody real."""

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from core.ids import has_valid_check, is_account_no, is_resident_id, is_short_name
from core.money import parse_yuan
from demo.generate import generate

DEMO = Path(__file__).resolve().parents[2] / "demo"
FILES = ("roster.csv", "staff.csv", "cards.csv", "merchants.csv", "terminals.csv")


def rows(name):
    with (DEMO / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_generator_makes_the_committed_bytes(tmp_path):
    generate(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes(), name


@pytest.mark.parametrize(
    ("name", "number", "count"), [("roster.csv", "学号", 5000), ("staff.csv", "工号", 300)]
)
def test_people_are_valid_in_form_and_synthetic(name, number, count):
    people = rows(name)
    assert len(people) == count
    assert all(is_account_no(row[number]) for row in people)
    assert all(row["姓名"].startswith(("测试", "示例")) for row in people)
    identities = [row["身份证号"] for row in people if is_resident_id(row["身份证号"])]
    assert len(identities) >= count - 10
    assert len(set(identities)) == len(identities)
    assert all(has_valid_check(identity) for identity in identities)
    assert all(identity.startswith("990000") for identity in identities)
    assert any(identity.endswith("X") for identity in identities)
    assert all(row["联系电话"].startswith("000") for row in people)
    photos = [row for row in people if row["照片文件名"]]
    assert all(row["照片文件名"] == f"{row['姓名']}{row[number]}.jpg" for row in photos)


def test_nobody_shares_a_number_and_everybody_has_one_card():
    numbers = [row["学号"] for row in rows("roster.csv")] + [
        row["工号"] for row in rows("staff.csv")
    ]
    cards = rows("cards.csv")
    assert [row["学工号"] for row in cards] == numbers
    assert len(set(numbers)) == len(numbers) == 5300
    assert len({row["卡片UID"] for row in cards}) == 5300
    assert all(re.fullmatch(r"04[0-9A-F]{12}", row["卡片UID"]) for row in cards)
    assert all(parse_yuan(row["开户充值(元)"]) >= 10_000 for row in cards)


def test_classes_are_of_about_45():
    sizes = Counter(row["班级"] for row in rows("roster.csv"))
    assert len(sizes) == 112
    assert max(sizes.values()) == 45


def test_every_terminal_has_its_merchant():
    merchants = {row["商户号"]: row for row in rows("merchants.csv")}
    terminals = rows("terminals.csv")
    assert len(merchants) == 40
    assert len(terminals) == len({row["终端号"] for row in terminals}) == 305
    assert {row["商户号"] for row in terminals} == set(merchants)
    assert all(is_short_name(row["终端号"]) for row in terminals)
    assert all(is_short_name(merchant) for merchant in merchants)


def test_rules_are_those_of_the_regulation():
    rules = tomllib.loads((DEMO / "rules.toml").read_text(encoding="utf-8"))
    assert parse_yuan(rules["limits"]["day"]) == 10_000
    assert parse_yuan(rules["limits"]["meal"]) == 5_000
    assert parse_yuan(rules["water"]["tap"]) == 1_000
    assert [meal["name"] for meal in rules["meals"]] == ["BREAKFAST", "LUNCH", "DINNER", "NIGHT"]
