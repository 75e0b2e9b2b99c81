"""``campuscard terminal certify``: a vendor's terminal against a script and the journal."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.admin import local
from clients.admin.child import die_with_parent
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    note,
    print_json,
    print_table,
    tr,
)
from clients.certify.campus import ROLES, TERMINAL, Campus
from clients.certify.cases import SCRIPTS, Script
from clients.certify.proxy import Proxy
from clients.certify.report import Outcome, Report, Verdict
from clients.certify.run import SETTLE_S, AbandonedError, Case, NotOfferedError, Run
from clients.certify.till import Person, Program, Till, TillError

CARDS: Final = (*(role.name for role in ROLES), "UNKNOWN")
BOOKS: Final = "books"


def certify(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help=tr(
                "终端程序; 不给则由人操作设备。", "The terminal's program; none: a person's device."
            ),
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(help=tr("终端连接的地址。", "Where the terminal connects; port 0: any.")),
    ] = "127.0.0.1:0",
    certificate: Annotated[
        Path | None, typer.Option(help=tr("PEM 证书链: 用 TLS。", "PEM chain: speak TLS with it."))
    ] = None,
    key: Annotated[Path | None, typer.Option(help=tr("其私钥。", "PEM of its key."))] = None,
    cards: Annotated[
        list[str] | None,
        typer.Option(
            "--card",
            metavar="NAME=UID",
            help=tr("真实卡片: ", "Real cards: ") + " ".join(CARDS),
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--case", help=tr("只做这些。", "Only these cases."))
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            min=1, help=tr("终端须在此秒数内了结。", "Seconds in which it settles what it gave up.")
        ),
    ] = SETTLE_S,
    report: Annotated[
        Path, typer.Option(help=tr("报告写入此目录。", "Directory of the dated report."))
    ] = Path(),
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a terminal pay, lose its line and its power, and look into the journal."""
    die_with_parent()
    chosen = _chosen(only or [])
    uids = _uids(cards or [])
    tls = _tls(certificate, key)
    made = Report(
        terminal=" ".join(command or []) or tr("人工操作", "by hand"),
        software="",
        server=metadata_version(),
        began=dt.datetime.now(dt.UTC).astimezone(),
    )
    with tempfile.TemporaryDirectory(prefix="campuscard-certify-") as scratch:
        _run(Path(scratch), made, command or [], listen, tls, uids, chosen, settle)
        if not made.passed:
            _keep_log(Path(scratch), report, made)
    path = made.write(report)
    _show(made, path, output)


def metadata_version() -> str:
    """Return the version of this program."""
    try:
        return metadata.version("campuscard")
    except metadata.PackageNotFoundError:
        return "0"


def _run(
    scratch: Path,
    made: Report,
    command: list[str],
    listen: str,
    tls: ssl.SSLContext | None,
    uids: dict[str, str],
    chosen: list[Script],
    settle_s: float,
) -> None:
    """Open the campus, play every case, keep the books again."""
    till: Till
    if command:
        log = scratch / "terminal.log"
        till = Program(command=command, terminal_id=TERMINAL, state=scratch / "terminal", log=log)
    else:
        till = Person(terminal_id=TERMINAL)
    host, _, port = listen.rpartition(":")
    with Campus(scratch / "campus", uids=uids, front=local.has_front()) as campus:
        proxy = Proxy(campus.door, listen=(host, int(port)), tls=tls)
        try:
            proxy.start()
        except OSError as error:
            raise Failure(f"{listen}: {error.strerror}", code=Exit.LOCAL) from error
        server = f"{host}:{proxy.port}"
        run = Run(campus, proxy, till, server, settle_s)
        try:
            made.software = till.start(server).software
            for script in chosen:
                made.outcomes.append(_play(run, script))
        except TillError as error:
            raise Failure(str(error), code=Exit.CHECK_FAILED, step=_tail(scratch)) from error
        finally:
            till.stop()
            proxy.stop()
        wrong = campus.verify()
    verdict = Verdict.FAILED if wrong else Verdict.PASSED
    words = tr("全部账目从第一条记录重算", "The books are kept again from the first record")
    made.outcomes.append(Outcome(BOOKS, words, verdict, 0.0, Case(), wrong))


def _play(run: Run, script: Script) -> Outcome:
    """Play one case; a terminal that failed it is switched off and on."""
    started_s = time.monotonic()
    case = run.begin()
    trouble = ""
    verdict = Verdict.PASSED
    try:
        script.play(run)
    except NotOfferedError:
        verdict = Verdict.NOT_OFFERED
    except AbandonedError:
        pass  # the check that failed is in the case
    except TillError as error:
        trouble = str(error)
        if run.proxy.broken:
            trouble += f" ({run.proxy.broken})"
    if trouble or any(not check.good for check in case.checks):
        verdict = Verdict.FAILED
        run.till.pull_plug()
        run.till.start(run.server)
    outcome = Outcome(
        script.name, script.words, verdict, time.monotonic() - started_s, case, trouble
    )
    note(f"{_mark(verdict)} {script.name}  ({outcome.seconds:.1f} s)")
    return outcome


def _mark(verdict: Verdict) -> str:
    return {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.NOT_OFFERED: "-"}[verdict]


def _show(made: Report, path: Path, output: Output) -> None:
    if output is Output.JSON:
        print_json({**made.plain(), "report": str(path)})
    else:
        columns = tr("项目 内容 结果 应为≠实为", "case what verdict expected≠got").split()
        print_table(columns, made.rows())
        if made.passed:
            done(tr(f"通过   报告 {path}", f"Passed   report {path}"))
    if not made.passed:
        raise Failure(
            tr("未通过认证。", "The terminal is not certified."),
            code=Exit.CHECK_FAILED,
            step=tr(f"报告: {path}", f"Report: {path}"),
            told=True,
        )


def _chosen(names: list[str]) -> list[Script]:
    known = {script.name: script for script in SCRIPTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"--case {unknown[0]}: {', '.join(known)}")
    return [known[name] for name in names] if names else list(SCRIPTS)


def _uids(given: list[str]) -> dict[str, str]:
    uids: dict[str, str] = {}
    for text in given:
        name, equals, uid = text.partition("=")
        if not equals or name not in CARDS:
            raise typer.BadParameter(f"--card {text}: NAME=UID, {' '.join(CARDS)}")
        uids[name] = uid
    return uids


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(certificate or "", key)
    except (OSError, ssl.SSLError) as error:
        raise Failure(f"--certificate, --key: {error}", code=Exit.LOCAL) from error
    return context


def _keep_log(scratch: Path, report: Path, made: Report) -> None:
    """Copy what the terminal wrote beside the report."""
    with contextlib.suppress(OSError):
        text = (scratch / "terminal.log").read_bytes()
        report.mkdir(parents=True, exist_ok=True)
        (report / f"certificate-{made.began:%Y%m%d-%H%M%S}.log").write_bytes(text)


def _tail(scratch: Path) -> str:
    with contextlib.suppress(OSError):
        return (scratch / "terminal.log").read_text(encoding="utf-8", errors="replace")[-2_000:]
    return ""
