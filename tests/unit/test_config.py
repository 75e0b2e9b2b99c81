from pathlib import Path

import pytest

from server.config import LOOPBACK_ONLY, ConfigError, explain, load


def written(tmp_path, text):
    path = tmp_path / "campuscard.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_enough():
    settings = load()
    assert settings.server.address == "127.0.0.1:50051"
    assert settings.limits.message_bytes == 65_536


def test_paths_are_relative_to_the_file(tmp_path):
    settings = load(written(tmp_path, '[data]\ndirectory = "d"\nkey_file = "/k/key"\n'))
    assert settings.data.directory == tmp_path / "d"
    assert str(settings.data.key_file) == "/k/key"
    assert settings.data.holder_keys_path == tmp_path / "d" / "keys"
    assert settings.data.registry_path == tmp_path / "d" / "registry" / "registry.db"


@pytest.mark.parametrize(
    "address", ["0.0.0.0:50051", "192.168.1.9:50051", "[::]:50051", "campus.example:50051"]
)
@pytest.mark.parametrize("section", ["server", "metrics"])
def test_only_loopback_until_callers_have_identities(tmp_path, section, address):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, f'[{section}]\naddress = "{address}"\n'))
    assert f"{section}.address: {LOOPBACK_ONLY}" in str(caught.value)


@pytest.mark.parametrize(
    ("server", "front"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50052"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::1]:5", "[::1]:6"),
        ("127.0.0.1:65535", "127.0.0.1:0"),
    ],
)
def test_terminals_call_beside_the_server_unless_told(tmp_path, server, front):
    text = f'[server]\naddress = "{server}"\n'
    assert load(written(tmp_path, text)).front_address == front
    told = load(written(tmp_path, f'{text}[front]\naddress = "127.0.0.1:7"\n'))
    assert told.front_address == "127.0.0.1:7"
    assert not load(written(tmp_path, f'{text}[front]\naddress = ""\n')).front_address


def test_only_certificates_take_terminals_beyond_loopback(tmp_path):
    open_to_all = '[front]\naddress = "0.0.0.0:50052"\n'
    own = 'certificate = "c.pem"\nkey = "k.pem"\n'
    with pytest.raises(ConfigError, match=r"front: address must be a loopback address"):
        load(written(tmp_path, open_to_all + own))
    front = load(written(tmp_path, f'{open_to_all}{own}terminal_ca = "/ca.pem"\n')).front
    assert (front.certificate, front.terminal_ca) == (tmp_path / "c.pem", Path("/ca.pem"))


@pytest.mark.parametrize(
    "front", ['certificate = "c.pem"', 'key = "k.pem"', 'terminal_ca = "ca.pem"']
)
def test_half_a_certificate_is_none(tmp_path, front):
    with pytest.raises(ConfigError, match="front: "):
        load(written(tmp_path, f"[front]\n{front}\n"))


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:5", "localhost:80"])
def test_loopback_addresses(tmp_path, address):
    assert load(written(tmp_path, f'[server]\naddress = "{address}"\n')).server.address == address


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\ncalls_max = 0\n", "server.calls_max"),
        ('[server]\naddress = "127.0.0.1"\n', "server.address"),
        ('[server]\naddress = ""\n', "server.address"),
        ('[server]\naddress = "127.0.0.1:65536"\n', "server.address"),
        ("[server]\nadress = 1\n", "server.adress"),
        ("[sever]\n", "sever"),
        ('[log]\nlevel = "loud"\n', "log.level"),
        ("[server\n", "campuscard.toml"),
    ],
)
def test_faults_name_their_field(tmp_path, text, named):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    assert named in str(caught.value)


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "nothing.toml")


def test_arguments_win_over_environment_over_file(tmp_path, monkeypatch):
    path = written(tmp_path, "[server]\ncalls_max = 1\ndrain_seconds = 1\n[log]\nlevel = 'error'\n")
    monkeypatch.setenv("CAMPUSCARD_SERVER__CALLS_MAX", "2")
    monkeypatch.setenv("CAMPUSCARD_LOG__LEVEL", "info")
    settings = load(path, overrides={"log": {"level": "debug"}})
    assert settings.server.calls_max == 2
    assert settings.server.drain_seconds == 1
    assert settings.log.level == "debug"


def test_every_field_is_explained():
    rows = list(explain(load()))
    assert len(rows) > 25
    assert all(row.description.endswith(".") for row in rows)
    assert {row.name.split(".")[0] for row in rows} >= {"server", "data", "engine", "limits"}
    sized = [
        row for row in rows if isinstance(row.default, int) and row.name != "server.reflection"
    ]
    assert not [row.name for row in sized if not row.unit and not isinstance(row.default, bool)]
