"""Where terminals call: beside the server's port, natively or by grpcio, as it was built."""

import sys

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2_grpc
from server.front import available
from tests.campus import ROOT, Campus, ServerFailedError
from tests.conformance.authority import Authority
from tests.terminals import Pos

NOT_BUILT = (
    sys.executable,
    "-c",
    (
        "import sys; sys.modules['ext.front.door'] = None; "
        "from server.__main__ import main; raise SystemExit(main())"
    ),
)


class Taps:
    """A campus as its terminals see it: at the front's address."""

    def __init__(self, campus, channel):
        self.campus = campus
        self.terminals = terminal_service_pb2_grpc.TerminalServiceStub(channel)

    def pos(self, name):
        self.campus.terminal(name, sign_in=False)
        pos = Pos(self, name)
        assert pos.sign_in().reason == "OK"
        return pos


def said(campus):
    return (campus.directory / "server.log").read_text(encoding="utf-8")


def test_terminals_have_a_place_of_their_own_without_being_told(own_campus):
    own_campus.start()
    assert own_campus.front_address not in {"", own_campus.address}
    holder = own_campus.open_account(top_up_fen=1_000)
    with grpc.insecure_channel(own_campus.front_address) as channel:
        assert Taps(own_campus, channel).pos("POS-1").pay(holder, 100).reason == "OK"
    assert ("front_not_built" in said(own_campus)) is not available()
    assert own_campus.stop() == 0


def test_grpcio_answers_there_where_the_front_end_was_not_built(tmp_path):
    with Campus(tmp_path / "campus", command=NOT_BUILT) as campus:
        assert campus.front_address not in {"", campus.address}
        assert "front_not_built" in said(campus)
        holder = campus.open_account(top_up_fen=1_000)
        with grpc.insecure_channel(campus.front_address) as channel:
            assert Taps(campus, channel).pos("POS-1").pay(holder, 100).reason == "OK"


def test_certificates_are_not_left_out_where_the_front_end_was_not_built(tmp_path):
    made = Authority().server()
    for name, text in (("chain.pem", made.chain), ("key.pem", made.key)):
        (tmp_path / name).write_bytes(text)
    front = {"certificate": str(tmp_path / "chain.pem"), "key": str(tmp_path / "key.pem")}
    campus = Campus(tmp_path / "campus", command=NOT_BUILT, settings={"front": front})
    with pytest.raises(ServerFailedError, match="was not built"):
        campus.start()


def test_nowhere_is_a_place_too(tmp_path):
    with Campus(tmp_path / "campus", settings={"front": {"address": ""}}) as campus:
        assert campus.front_address == ""


def test_what_installs_the_libraries_names_them():
    """A machine that has nothing gets them by the project's own set-up."""
    text = (ROOT / "tools" / "setup.sh").read_text(encoding="utf-8")
    for package in ("libnghttp2-dev", "libssl-dev", "pkg-config"):
        assert package in text
