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
