"""Commands that act on this machine's files instead of speaking gRPC.

The one place in clients/ that may import the server, the engine and the benchmarks, always inside
a function: the other commands start without them, and a broken build still has its ``doctor``.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from clients.admin.child import LISTENING, TERMINALS, die_with_parent
from clients.admin.console import (
    Exit,
    Failure,
    Output,
    OutputOption,
    done,
    note,
    print_fields,
    print_json,
    print_table,
    tr,
)

if TYPE_CHECKING:
    from server.config import Settings

CONFIG_NAME: Final = "campuscard.toml"
SEGMENT_BYTES: Final = 256 << 20

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="CAMPUSCARD_CONFIG",
        help=tr(
            "TOML 配置文件; 默认 ./campuscard.toml (若有)。",
            "TOML file; default ./campuscard.toml if there.",
        ),
    ),
]
config_app: Final = typer.Typer(
    no_args_is_help=True, help=tr("配置: 检查、查看。", "Check and show the configuration.")
)


def settings_of(config: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings, from ``./campuscard.toml`` when no file is named and there is one."""
    from server.config import ConfigError, load

    path = config
    if path is None and Path(CONFIG_NAME).is_file():
        path = Path(CONFIG_NAME)
    try:
        return load(path, overrides=overrides)
    except ConfigError as error:
        raise Failure(
            str(error),
            code=Exit.CHECK_FAILED,
            step=tr(
                "逐项说明: campuscard config show --explain",
                "Every field: campuscard config show --explain",
            ),
        ) from error


# -- init and serve -------------------------------------------------------------------------------


def init(
    directory: Annotated[
        Path,
        typer.Argument(
            help=tr("新目录: 数据、密钥、配置。", "New directory: data, key, configuration.")
        ),
    ] = Path(),
    test: Annotated[
        bool,
        typer.Option(
            help=tr(
                "测试目录: 时钟可由文件给定, 处处标 TEST。",
                "A test directory: its clock may be a file.",
            )
        ),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a data directory, a key file beside it and a configuration file."""
    paths = create(directory, test=test)
    if output is Output.JSON:
        print_json({name: str(path) for name, path in paths.items()} | {"test": test})
        return
    done(tr(f"已建立 {paths['data']}", f"Made {paths['data']}"))
    note(
        tr(
            f"密钥 {paths['key_file']} 与数据分开备份; 丢失后密码都无法核对。",
            f"Back up {paths['key_file']} apart from the data: without it no password can be checked.",
        )
    )
    note(
        tr(
            f"启动: campuscard serve --config {paths['config']}",
            f"Start: campuscard serve --config {paths['config']}",
        )
    )


def create(
    directory: Path, *, test: bool = False, extra: str = "", segment_bytes: int = SEGMENT_BYTES
) -> dict[str, Path]:
    """Make data directory, key file and configuration under ``directory``; ``extra`` is TOML."""
    from ext import engine

    paths = {
        "data": directory / "data",
        "key_file": directory / "campuscard.key",
        "config": directory / CONFIG_NAME,
    }
    for path in paths.values():
        if path.exists():
            raise Failure(
                tr(f"{path} 已存在, 不会覆盖。", f"{path} exists already and is not overwritten."),
                code=Exit.LOCAL,
                step=tr(
                    "换一个目录, 或先移走它。", "Choose another directory, or move it away first."
                ),
            )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        engine.init(
            str(paths["data"]), str(paths["key_file"]), test=test, segment_bytes=segment_bytes
        )
        text = f'[data]\ndirectory = "data"\nkey_file = "campuscard.key"\n{extra}'
        paths["config"].write_text(text, encoding="utf-8")
    except (OSError, engine.EngineError) as error:
        raise Failure(
            str(error),
            code=Exit.LOCAL,
            step=tr(
                "空间、权限、磁盘: campuscard doctor   或换一个目录",
                "Space, rights, disk: campuscard doctor   Or choose another directory",
            ),
        ) from error
    return paths


def has_front() -> bool:
    """Tell whether the native front end was built."""
    from server.front import available

    return available()


def serve(
    config: ConfigOption = None,
    address: Annotated[
        str,
        typer.Option(help=tr("gRPC 地址, 胜过配置。", "Where gRPC listens; wins over the file.")),
    ] = "",
    front: Annotated[
        str,
        typer.Option(help=tr("终端地址, 胜过配置。", "Where terminals call; wins over the file.")),
    ] = "",
    metrics: Annotated[str, typer.Option(help=tr("指标地址。", "Where /metrics is served."))] = "",
    clock: Annotated[
        str,
        typer.Option(
            metavar="file:PATH", help=tr("测试时钟。", "Test clock, for --test directories.")
        ),
    ] = "",
    reset_admin: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=tr("给安全管理员新的一次性口令。", "Give a SEC_ADMIN a new one-time secret."),
        ),
    ] = "",
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain."""
    die_with_parent()
    overrides: dict[str, dict[str, str]] = {}
    for section, name, value in (
        ("server", "address", address),
        ("front", "address", front),
        ("metrics", "address", metrics),
        ("data", "clock", clock),
    ):
        if value:
            overrides.setdefault(section, {})[name] = value
    settings = settings_of(config, overrides)
    data = settings.data
    if not data.directory.is_dir():
        raise Failure(
            tr(f"没有数据目录 {data.directory}。", f"There is no data directory {data.directory}."),
            code=Exit.LOCAL,
            step=tr(
                "新建: campuscard init   演示: campuscard demo",
                "Make one: campuscard init   Or a demo: campuscard demo",
            ),
        )
    _run_server(settings, reset_admin)


def _run_server(settings: Settings, reset_admin: str) -> None:
    from ext import engine
    from server.app import serve as run

    try:
        asyncio.run(run(settings, started=_announce, reset_admin=reset_admin))
    except engine.DirectoryBusy as error:
        raise Failure(
            str(error),
            code=Exit.LOCAL,
            step=tr(
                "另一个服务器正在使用它: campuscard status",
                "Another server has it: campuscard status",
            ),
        ) from error
    except engine.EngineError as error:
        raise Failure(
            str(error),
            code=Exit.LOCAL,
            step=tr("检查: campuscard doctor", "Look: campuscard doctor"),
        ) from error
    except OSError as error:
        raise Failure(
            str(error),
            code=Exit.LOCAL,
            step=tr(
                "换一个端口: --address 或 --front 127.0.0.1:PORT",
                "Another port: --address or --front 127.0.0.1:PORT",
            ),
        ) from error


def _announce(address: str, front: str) -> None:
    """Tell a waiting parent, and the person, where calls are taken."""
    print(f"{TERMINALS}{front}\n{LISTENING}{address}", file=sys.stderr, flush=True)


# -- config ---------------------------------------------------------------------------------------


@config_app.command("check", help=tr("检查配置文件。", "Check a configuration file."))
def config_check(config: ConfigOption = None, output: OutputOption = Output.TEXT) -> None:
    """Read the configuration and say whether it can be used."""
    settings_of(config)
    if output is Output.JSON:
        print_json({"valid": True})
    else:
        done(tr("配置有效", "The configuration is valid"))


@config_app.command("show", help=tr("查看生效的配置。", "Show the configuration in force."))
def config_show(
    config: ConfigOption = None,
    explain: Annotated[bool, typer.Option(help=tr("逐项说明。", "Say what each is."))] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show every field as it would be used."""
    from server.config import explain as fields_of

    fields = list(fields_of(settings_of(config)))
    if output is Output.JSON:
        print_json(
            [
                {
                    "name": field.name,
                    "value": _value(field.value),
                    "default": _value(field.default),
                    "unit": field.unit,
                    "range": field.bounds,
                    "description": field.description,
                }
                for field in fields
            ]
        )
    elif explain:
        rows = [
            [
                *(field.name, str(field.value), str(field.default)),
                *(field.bounds, field.unit, field.description),
            ]
            for field in fields
        ]
        print_table(
            tr("名称 值 默认 范围 单位 说明", "name value default range unit meaning").split(), rows
        )
    else:
        print_fields({field.name: str(field.value) for field in fields})


def _value(value: object) -> object:
    return value if isinstance(value, bool | int | str | None) else str(value)


# -- doctor ---------------------------------------------------------------------------------------


def doctor(config: ConfigOption = None, output: OutputOption = Output.TEXT) -> None:
    """Look at this machine and the data directory, and say what to do."""
    from clients.admin.doctor import examine
    from clients.admin.findings import Health, Place

    settings = settings_of(config)
    place = Place(
        data=settings.data.directory,
        key_file=settings.data.key_file,
        address=settings.server.address,
        front_address=settings.front_address,
        certificate=settings.front.certificate,
        key=settings.front.key,
    )
    marks = {Health.OK: "✓", Health.WARNING: "!", Health.FAILED: "✗"}
    findings = []
    for finding in examine(place):
        findings.append(finding)
        if output is Output.TEXT:
            print(f"{marks[finding.health]} {finding.name:<14} {finding.found}")
            if finding.step:
                print(f"  → {finding.step}")
    if output is Output.JSON:
        print_json(
            [
                {"name": f.name, "health": f.health.value, "found": f.found, "next": f.step}
                for f in findings
            ]
        )
    if any(finding.health is Health.FAILED for finding in findings):
        raise typer.Exit(Exit.CHECK_FAILED)


# -- bench ----------------------------------------------------------------------------------------


def bench(context: typer.Context) -> None:
    """Measure; every argument goes to the benchmarks, which have their own --help."""
    try:
        run = importlib.import_module("bench.__main__").main
    except ModuleNotFoundError as error:
        raise Failure(
            tr(f"没有性能测试: {error}", f"There are no benchmarks here: {error}"),
            code=Exit.LOCAL,
            step=tr("它们在源码目录 bench/ 中。", "They are in bench/ of the checkout."),
        ) from error
    raise typer.Exit(run(context.args))
