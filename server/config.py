"""Settings of ``campuscard serve``: one TOML file, every field typed, bounded and described.

A field may also be set by the environment, as ``CAMPUSCARD_SERVER__ADDRESS``; the environment wins
over the file. Unknown names are refused. Paths in a file are relative to the file's directory.

Addresses must be loopback: without certificates, whoever reaches the port may tap as any terminal.
Only ``front.address`` may be another, once ``front.terminal_ca`` tells terminals apart.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

LOOPBACK_ONLY: Final = (
    "must be a loopback address (127.0.0.0/8 or ::1): terminals have no certificates yet, so "
    "everybody who can connect may call as a terminal"
)
_LAST_PORT: Final = 65_535


class ConfigError(Exception):
    """The settings cannot be used. The text has one line a fault, each naming the field."""


def split_address(address: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[HOST]:PORT``.

    Raises:
        ValueError: another form, or a port outside 0 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_loopback(address: str) -> str:
    if address and not _is_loopback(address):
        raise ValueError(LOOPBACK_ONLY)
    return address


def _check_present(address: str) -> str:
    if not address:
        raise ValueError("must be HOST:PORT")
    return address


def _check_form(address: str) -> str:
    if address:
        split_address(address)
    return address


Address = Annotated[str, AfterValidator(_check_form)]
LoopbackAddress = Annotated[str, AfterValidator(_check_loopback)]
ServerAddress = Annotated[str, AfterValidator(_check_present), AfterValidator(_check_loopback)]


def _setting(default: Any, text: str, *, unit: str = "", **bounds: Any) -> Any:
    return Field(default=default, description=text, json_schema_extra={"unit": unit}, **bounds)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ServerSettings(_Section):
    """The gRPC door."""

    address: ServerAddress = _setting(
        "127.0.0.1:50051", "Where gRPC listens; port 0 takes a free one."
    )
    reflection: bool = _setting(True, "Offer gRPC reflection, for grpcurl and the like.")
    drain_seconds: int = _setting(
        10, "How long calls under way may finish after SIGTERM.", unit="s", ge=0, le=600
    )
    calls_max: int = _setting(
        1024,
        "Calls under way at once; more are answered QUEUE_FULL.",
        unit="calls",
        ge=1,
        le=65_536,
    )
    stream_in_flight: int = _setting(
        256, "Authorizations of one stream under way at once.", unit="messages", ge=1, le=8_192
    )
    payments_first: bool = _setting(
        True,
        "While Python is busy, with an import or a report, run the threads of payments at the lowest "
        "real-time priority, where there are two cores or more and CAP_SYS_NICE or an RLIMIT_RTPRIO of 1 "
        "permits it. Kernels before 6.12 may stop such a thread for 50 ms a second if it never sleeps.",
    )


class FrontSettings(_Section):
    """The native door of terminals."""

    address: Address | None = _setting(
        None,
        "Where terminals call; unset: the port after `server.address`; port 0 takes a free one; "
        "empty: nowhere. Where the native front end was not built, grpcio answers there. Without "
        "`front.terminal_ca` a loopback address.",
    )
    certificate: Path | None = _setting(
        None, "PEM file of our certificate and its issuers; unset: no TLS. SIGHUP reads it again."
    )
    key: Path | None = _setting(None, "PEM file of its key.")
    terminal_ca: Path | None = _setting(
        None,
        "PEM file of the CAs of terminals' certificates; set: without one, whose URI is "
        "`spiffe://campus/terminal/ID`, nobody calls, and with it as that terminal only.",
    )
    threads: int = _setting(1, "Threads it runs.", unit="threads", ge=1, le=3)
    connections_max: int = _setting(
        16_384, "Connections of one thread.", unit="connections", ge=1, le=1_048_576
    )
    streams_max: int = _setting(
        256, "Calls of one connection at once.", unit="calls", ge=1, le=65_536
    )
    calls_max: int = _setting(
        65_536, "Calls of one thread at once.", unit="calls", ge=128, le=1_048_576
    )
    slots_max: int = _setting(
        32_768, "Commands of one thread under way.", unit="commands", ge=128, le=1_048_576
    )
    connection_in_flight: int = _setting(
        1_024,
        "Authorizations of all streams of one connection under way at once.",
        unit="messages",
        ge=1,
        le=1_048_576,
    )
    header_bytes: int = _setting(
        8_192, "Size of a call's metadata.", unit="bytes", ge=512, le=65_536
    )
    held_bytes: int = _setting(
        4_194_304,
        "Requests and answers that one connection may have waiting.",
        unit="bytes",
        ge=65_536,
        le=1 << 30,
    )
    handed_max: int = _setting(256, "Calls with Python at once.", unit="calls", ge=1, le=65_536)
    fed_max: int = _setting(
        1_024, "Streams that Python answers at once.", unit="calls", ge=1, le=65_536
    )
    frames_burst: int = _setting(
        10_000, "Frames without a call that a connection may send at once.", unit="frames", ge=100
    )
    frames_rate: int = _setting(
        5_000, "The same for ever; more ends the connection.", unit="frames/s", ge=4
    )
    handshake_ms: int = _setting(
        20_000, "Time of a greeting, and of one request.", unit="ms", ge=100, le=600_000
    )
    idle_ms: int = _setting(
        600_000, "A connection without a call leaves; 0: never.", unit="ms", ge=0, le=86_400_000
    )
    age_ms: int = _setting(0, "An old connection leaves; 0: never.", unit="ms", ge=0, le=86_400_000)
    keepalive_ms: int = _setting(
        30_000, "Silence before a ping; 0: no pings.", unit="ms", ge=0, le=3_600_000
    )
    spin_us: int | None = _setting(
        None,
        "Looking for answers before sleeping; unset: 50 with four cores or more, else 0.",
        unit="µs",
        ge=0,
        le=1_000,
    )

    @model_validator(mode="after")
    def _only_known_callers(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if self.terminal_ca is not None and self.certificate is None:
            raise ValueError("terminal_ca needs certificate and key")
        if self.terminal_ca is None and self.address and not _is_loopback(self.address):
            raise ValueError(f"address {LOOPBACK_ONLY}")
        return self


class MetricsSettings(_Section):
    """The Prometheus door."""

    address: LoopbackAddress = _setting(
        "127.0.0.1:9464", "Where /metrics is served over HTTP; empty: nowhere."
    )


class DataSettings(_Section):
    """Where things are kept."""

    directory: Path = _setting(
        Path("data"), "Data directory made by `campuscard init`: journal, state, registry."
    )
    key_file: Path = _setting(
        Path("campuscard.key"), "Key file made by `campuscard init`, outside the data directory."
    )
    holder_keys: Path | None = _setting(
        None,
        "Directory of the holders' keys, primary data to back up apart; unset: DIRECTORY/keys.",
    )
    clock: str = _setting(
        "", "Test clock, as file:PATH; only for directories made with `init --test`."
    )

    @property
    def holder_keys_path(self) -> Path:
        """Directory of the holders' keys."""
        return self.directory / "keys" if self.holder_keys is None else self.holder_keys

    @property
    def files_path(self) -> Path:
        """Directory of photos and papers."""
        return self.directory / "files"

    @property
    def registry_path(self) -> Path:
        """File of the registry."""
        return self.directory / "registry" / "registry.db"

    @property
    def clock_path(self) -> str:
        """Path of the test clock; empty: the machine's clock."""
        return self.clock.removeprefix("file:")


class EngineSettings(_Section):
    """Bounds of the engine, fixed at start."""

    accounts_max: int = _setting(1_048_576, "Accounts.", unit="rows", ge=16, le=16_777_216)
    media_max: int = _setting(2_097_152, "Media.", unit="rows", ge=16, le=33_554_432)
    merchants_max: int = _setting(65_536, "Merchants.", unit="rows", ge=16, le=1_048_576)
    terminals_max: int = _setting(4_096, "Terminals.", unit="rows", ge=16, le=16_384)
    holds_max: int = _setting(262_144, "Open holds.", unit="rows", ge=16, le=4_194_304)
    schedules_max: int = _setting(
        65_536, "Effects that wait for their time.", unit="rows", ge=16, le=1_048_576
    )
    queue: int = _setting(
        16_384, "Commands waiting for the sequencer.", unit="commands", ge=64, le=1_048_576
    )
    block_max: int = _setting(8_192, "Records of one commit.", unit="records", ge=16, le=8_192)
    segment_bytes: int = _setting(
        268_435_456, "Size of a new journal segment.", unit="bytes", ge=1 << 22, le=1 << 36
    )
    journal_bytes_max: int = _setting(
        0, "Space the journal may take; 0: the file system's.", unit="bytes", ge=0
    )
    checkpoint_records: int = _setting(
        1_000_000, "Checkpoint at least every so many records.", unit="records", ge=1_000
    )
    lock_memory: bool = _setting(False, "Lock the engine's tables in memory.")


class JournalSettings(_Section):
    """How blocks become durable; docs/concepts/durability.md."""

    commit: Literal["full", "pipelined"] = _setting(
        "full", "Flushes of the disk a block costs: two, or one that the next block brings."
    )


class LimitSettings(_Section):
    """What one caller may ask for."""

    terminal_rate: int = _setting(
        200, "Calls of one terminal; declines are records too.", unit="calls/s", ge=1, le=1_000_000
    )
    terminal_burst: int = _setting(
        400, "Calls of one terminal at once.", unit="calls", ge=1, le=1_000_000
    )
    message_bytes: int = _setting(65_536, "Size of a request.", unit="bytes", ge=4_096, le=1 << 22)
    batch_message_bytes: int = _setting(
        2_097_152, "Size of an AuthorizeBatch request.", unit="bytes", ge=4_096, le=1 << 24
    )
    photo_message_bytes: int = _setting(
        3_145_728, "Size of an UploadPhoto request.", unit="bytes", ge=4_096, le=1 << 24
    )


class OfficeSettings(_Section):
    """Acts of the office."""

    queue: int = _setting(1_024, "Acts waiting for the office lane.", unit="acts", ge=1, le=65_536)
    workers: int = _setting(
        1, "Processes of low priority for rosters and photos.", unit="processes", ge=1, le=64
    )


class StaffSettings(_Section):
    """Signing in. Below their defaults these are for test directories only."""

    argon2_memory_kib: int = _setting(
        65_536, "Memory of one password hash.", unit="KiB", ge=8, le=1 << 22
    )
    argon2_passes: int = _setting(3, "Passes over that memory.", unit="passes", ge=1, le=64)
    totp_steps: int = _setting(
        1,
        "How far an authenticator's clock may be off; more is weaker.",
        unit="30 s",
        ge=0,
        le=2_000,
    )
    refusal_ms: int = _setting(
        250, "A refused sign-in is not answered earlier.", unit="ms", ge=0, le=10_000
    )

    @property
    def weak(self) -> tuple[str, ...]:
        """Names of what is weaker than its default."""
        strong = StaffSettings()
        floors = ("argon2_memory_kib", "argon2_passes", "refusal_ms")
        found = [name for name in floors if getattr(self, name) < getattr(strong, name)]
        return (*found, *(("totp_steps",) if self.totp_steps > strong.totp_steps else ()))


class LogSettings(_Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = _setting("info", "Least level written.")
    format: Literal["console", "json"] = _setting("console", "Form of a line.")


class IntegritySettings(_Section):
    """The check of rules and journal beside everything else."""

    rules_seconds: float = _setting(
        60.0, "How often the rules are compared with the journal.", unit="s", gt=0, le=3_600
    )
    journal_seconds: float = _setting(
        86_400.0, "How often the whole journal is walked again.", unit="s", gt=0, le=31_536_000
    )


class Settings(BaseSettings):
    """All settings of one server."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="CAMPUSCARD_", env_nested_delimiter="__"
    )

    server: ServerSettings = ServerSettings()
    front: FrontSettings = FrontSettings()
    metrics: MetricsSettings = MetricsSettings()
    data: DataSettings = DataSettings()
    engine: EngineSettings = EngineSettings()
    journal: JournalSettings = JournalSettings()
    limits: LimitSettings = LimitSettings()
    office: OfficeSettings = OfficeSettings()
    staff: StaffSettings = StaffSettings()
    integrity: IntegritySettings = IntegritySettings()
    log: LogSettings = LogSettings()

    @property
    def front_address(self) -> str:
        """Where terminals call; empty: nowhere of their own."""
        if self.front.address is not None:
            return self.front.address
        host, port = split_address(self.server.address)
        return f"[{host}]:{_next(port)}" if ":" in host else f"{host}:{_next(port)}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One field as ``campuscard config show --explain`` prints it."""

    name: str
    value: object
    default: object
    unit: str
    bounds: str
    description: str


def load(path: Path | None = None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings.

    Args:
        path: a TOML file; None: defaults and environment only.
        overrides: section to field to value, as from command line options; they win.

    Raises:
        ConfigError: the file is missing, is no TOML, or a field is unknown or out of range.
    """
    if path is not None and not path.is_file():
        raise ConfigError(f"{path}: no such file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        settings = FromFile(**dict(overrides or {}))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {_fault(e['msg'])}" for e in error.errors())
        raise ConfigError("\n".join(lines)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    base = Path() if path is None else path.parent
    return Settings.model_construct(
        **{
            name: getattr(settings, name)
            for name in Settings.model_fields
            if name not in {"data", "front"}
        },
        data=_resolve(settings.data, base),
        front=_resolve_files(settings.front, base),
    )


def _next(port: int) -> int:
    """Return the port beside a port; beside any free one: any free one."""
    return port + 1 if 0 < port < _LAST_PORT else 0


def explain(settings: Settings) -> Iterator[Explanation]:
    """List every field in the order of the file, as ``section.field``."""
    for section_name in Settings.model_fields:
        section = getattr(settings, section_name)
        fields: dict[str, FieldInfo] = type(section).model_fields
        for name, info in fields.items():
            extra = info.json_schema_extra
            yield Explanation(
                name=f"{section_name}.{name}",
                value=getattr(section, name),
                default=info.default,
                unit=str(extra["unit"]) if isinstance(extra, dict) else "",
                bounds=_bounds(info),
                description=info.description or "",
            )


def _bounds(info: FieldInfo) -> str:
    """Write what a field may be: ``1…64``, ``≥ 0``, or the words there are."""
    if get_origin(info.annotation) is Literal:
        return ", ".join(map(str, get_args(info.annotation)))
    if isinstance(info.annotation, type) and issubclass(info.annotation, Enum):
        return ", ".join(str(word.value) for word in info.annotation)
    least = next((m.ge for m in info.metadata if isinstance(m, Ge)), None)
    most = next((m.le for m in info.metadata if isinstance(m, Le)), None)
    if least is None:
        return ""
    return f"≥ {least}" if most is None else f"{least}…{most}"


def _fault(message: str) -> str:
    return message.removeprefix("Value error, ")


def _resolve(data: DataSettings, base: Path) -> DataSettings:
    changes: dict[str, Any] = {
        "directory": base / data.directory,
        "key_file": base / data.key_file,
    }
    if data.holder_keys is not None:
        changes["holder_keys"] = base / data.holder_keys
    return data.model_copy(update=changes)


def _resolve_files(front: FrontSettings, base: Path) -> FrontSettings:
    files = (
        ("certificate", front.certificate),
        ("key", front.key),
        ("terminal_ca", front.terminal_ca),
    )
    return front.model_copy(update={name: base / file for name, file in files if file is not None})
