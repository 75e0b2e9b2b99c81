"""``campuscard``: every command in one place. Exit codes: see console.py."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer

from clients.admin import (
    access,
    accounts,
    certify,
    crash,
    demo,
    holder,
    local,
    merchants,
    office_alerts,
    office_cards,
    office_cases,
    office_leaving,
    office_roster,
    office_transfers,
    offline,
    operations,
    parameters,
    payments,
    staff,
    terminals,
    what_if,
)
from clients.admin.console import Exit, Failure, print_json, show_failure, tr
from clients.session import REASON_VARIABLE

EXIT_CODES: Final = tr(
    "退出码: 0 完成 · 1 被拒绝 · 2 用法错误 · 3 服务器不可达 · 4 检查未通过 · 5 本机问题 · 130 中断",
    "Exit codes: 0 done · 1 refused · 2 usage · 3 server unreachable · 4 check failed · "
    "5 this machine · 130 interrupted",
)


def examples(*lines: str) -> str:
    """Lay out an epilog of commands to copy; a blank line is what keeps lines apart."""
    return "\n\n".join([tr("示例:", "Examples:"), *(f"  {line}" for line in lines)])


OFFICE: Final = (office_cards, office_cases, office_leaving, office_transfers, office_alerts)
"""Modules whose commands join the group of ``office_roster``."""

app: Final = typer.Typer(
    name="campuscard",
    help=tr(
        "校园一卡通: 一个定序器, 一本日志, 每笔都落盘。",
        "A campus card: one sequencer, one journal, every payment durable.",
    ),
    epilog="\n\n".join(
        [
            examples(
                "campuscard demo",
                "campuscard pay --account 202371010101 --amount 12.50",
                "campuscard history 202371010101",
                "campuscard terminal simulate --rate 200 --duration 30",
            ),
            EXIT_CODES,
        ]
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    lang: Annotated[
        str, typer.Option(help=tr("语言: zh 或 en; 默认按 LANG。", "zh or en; default: LANG."))
    ] = "",
    reason: Annotated[
        str,
        typer.Option(
            envvar=REASON_VARIABLE,
            help=tr(
                "为何这样做, 写入日志; 命令自己有 --reason 时以它为准。",
                "Why, for the journal; a command's own --reason comes first.",
            ),
        ),
    ] = "",
) -> None:
    """Options before the command. The language was chosen when the texts were made."""
    del lang
    if reason:
        os.environ[REASON_VARIABLE] = reason


app.command(
    "init",
    help=tr("新建数据目录、密钥、配置。", "Make data directory, key and configuration."),
    epilog=examples("campuscard init campus", "campuscard init --test /tmp/test"),
)(local.init)
app.command(
    "serve",
    help=tr("运行服务器。", "Run the server."),
    epilog=examples("campuscard serve --config campus/campuscard.toml"),
)(local.serve)
app.command(
    "pay",
    help=tr("刷卡消费一笔。", "Charge a card at a terminal."),
    epilog=examples(
        "campuscard pay --account 202371010101 --amount 12.50",
        "campuscard pay --card 0476EF2DBF7AC0 --amount 60 --terminal POS-001",
        "campuscard pay --account 202371010101 --amount 1 --send-twice",
    ),
)(payments.pay)
app.command(
    "balance",
    help=tr("余额与累计。", "Wallets, counters, limits."),
    epilog=examples("campuscard balance --account 202371010101"),
)(payments.balance)
app.command(
    "history",
    help=tr("账户流水。", "What happened to an account."),
    epilog=examples("campuscard history 202371010101 --limit 5 --output json"),
)(payments.history)
app.command(
    "transaction",
    help=tr("查一笔。", "Find one decision."),
    epilog=examples(
        "campuscard transaction 10711",
        "campuscard transaction --terminal POS-001 --batch 3 --terminal-seq 17",
    ),
)(payments.transaction)
app.command(
    "status",
    help=tr("服务器与日志的状况。", "How the server and its journal are."),
    epilog=examples("campuscard status --output json"),
)(operations.status)
app.command("checkpoint", help=tr("现在写检查点。", "Write a checkpoint now."))(
    operations.checkpoint
)
app.command(
    "verify",
    help=tr("校验: 从第一条记录重算全部账目。", "Keep the books again from the first record."),
    epilog=examples("campuscard verify", "campuscard verify var/demo/data --output json"),
)(offline.verify)
app.command(
    "dump",
    help=tr("导出日志为 JSON 行。", "Write the journal as JSON lines."),
    epilog=examples(
        "campuscard dump var/demo/data --from 1000 --to 1010", "campuscard dump | jq .type"
    ),
)(offline.dump)
app.command(
    "follow",
    help=tr(
        "跟随: 日志与照片的备份、镜像。", "Copy a running journal and its files: backup, mirror."
    ),
    epilog=examples(
        "campuscard follow --to mirror",
        "campuscard follow --to mirror --stop-at-head",
    ),
)(offline.follow)
app.command(
    "restore",
    help=tr("恢复: 副本经校验成为可用目录。", "Make a checked copy a directory to serve from."),
    epilog=examples(
        "campuscard restore mirror", "campuscard restore mirror new/data --key-file campuscard.key"
    ),
)(offline.restore)
app.command(
    "bench",
    help=tr("性能: engine, rpc, replay, start。", "Measure: engine, rpc, replay, start."),
    epilog=examples("campuscard bench", "campuscard bench engine --quick --json"),
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(local.bench)
app.command(
    "doctor",
    help=tr("体检: 本机与数据目录。", "Look at this machine and say what to do."),
    epilog=examples("campuscard doctor", "campuscard doctor --config campus/campuscard.toml"),
)(local.doctor)
demo.app.command(
    "crash",
    help=tr(
        "拔掉电源: 交易中 kill -9 服务器, 重启, 核对每一笔已答复的交易。",
        "Pull the plug: kill -9 the server mid-traffic, restart it, look for every answer given.",
    ),
    epilog=examples("campuscard demo crash", "campuscard demo crash --rate 500 --seconds 20"),
)(crash.crash)
app.add_typer(
    demo.app,
    name="demo",
    help=tr("演示: 建立、装载、运行一个校园。", "Demo: make, load and run a campus to look at."),
    epilog=examples(
        "campuscard demo",
        "campuscard demo --rate 200 --seconds 30",
        "campuscard demo crash",
        "campuscard demo reset",
    ),
)
app.add_typer(accounts.app, name="account")
app.add_typer(merchants.app, name="merchant")
app.add_typer(
    office_roster.app,
    name="office",
    epilog=examples(
        "campuscard office import roster.xlsx --dry-run",
        "campuscard office import demo/roster.csv --report refused.csv",
        "campuscard office photos photos.zip --recent-frontal",
        "campuscard office holders --class 2023级软件技术1班 --photo without",
        "campuscard office issue --file demo/cards.csv --dry-run",
        "campuscard office lose 202371010101",
        "campuscard office replace open 202371010101",
        'campuscard office return-class "2020级1班" uids.txt --dry-run',
        "campuscard office clearance 202371010101",
    ),
)
terminals.app.command(
    "certify",
    help=tr(
        "认证一台终端: 丢应答、断网、断电, 逐笔对账。",
        "Certify a terminal: lost answers, no line, no power, and every fen accounted for.",
    ),
    epilog=examples(
        "campuscard terminal certify -- node examples/terminal/terminal.js",
        "campuscard terminal certify --listen 0.0.0.0:50052 --card MAIN=04A1B2C3D4E5F6",
    ),
)(certify.certify)
app.add_typer(terminals.app, name="terminal")
parameters.app.command(
    "what-if",
    help=tr("试算: 换一个值, 过去会怎样。", "What past days would have been under other values."),
    epilog=examples(
        "campuscard param what-if day_limit_fen=15000 --from 2024-03-01 --to 2024-03-31",
        'campuscard param what-if "meals=LUNCH 10:00-14:00" --from 2024-03-01 --to 2024-03-31',
        "campuscard param what-if --proposal 10711 --from 2024-03-01 --to 2024-03-31",
    ),
)(what_if.what_if)
app.add_typer(
    parameters.app,
    name="param",
    epilog=examples(
        "campuscard param list",
        "campuscard param propose day_limit_fen 15000 --from 2030-01-01 --reason 院务会",
        "campuscard param proposals",
        "campuscard param approve 1234",
        "campuscard param history day_limit_fen",
    ),
)
app.add_typer(
    access.app,
    name="access",
    epilog=examples(
        "campuscard access zones",
        "campuscard access check GATE-1 --card 0476EF2DBF7AC0",
        "campuscard access passes --zone D1 --refused",
    ),
)
app.add_typer(
    holder.app,
    name="holder",
    epilog=examples(
        "campuscard holder sign-in 202371010101",
        "campuscard holder show",
        "campuscard holder lose --account 202371010101",
        "campuscard holder limits --day 50",
    ),
)
app.add_typer(
    staff.app,
    name="staff",
    epilog=examples(
        "campuscard staff sign-in admin",
        'campuscard staff create 2017001 --role CARD_OFFICER --reason "new clerk"',
        "campuscard staff acts --actor staff:2",
    ),
)
app.add_typer(local.config_app, name="config")


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        app()
    except Failure as failure:
        if not _wants_json(sys.argv[1:]):
            show_failure(failure)
        elif not failure.told:
            print_json(
                {"error": {"reason": failure.reason, "text": failure.text, "next": failure.step}}
            )
        return failure.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    return Exit.DONE


def _wants_json(arguments: list[str]) -> bool:
    following = zip(arguments, [*arguments[1:], ""], strict=True)
    return "--output=json" in arguments or any(
        name in {"--output", "-o"} and value == "json" for name, value in following
    )


if __name__ == "__main__":
    sys.exit(main())
