"""Both front ends of one server: the same test asks each."""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import Campus
from tests.terminals import Pos

pytest.importorskip("ext.front.door", reason="the native front end was not built")

DOORS = ("grpcio", "native")


@dataclass
class Door:
    """One front end of a campus; terminals made here call through it."""

    campus: Any
    name: str
    channel: grpc.Channel

    @property
    def address(self):
        return self.campus.front_address if self.name == "native" else self.campus.address

    @property
    def terminals(self):
        return terminal_service_pb2_grpc.TerminalServiceStub(self.channel)

    def pos(self, terminal_id, **options):
        """A terminal of the campus that signs in and calls through this door."""
        self.campus.terminal(terminal_id, sign_in=False, **options)
        pos = Pos(self, terminal_id)
        assert pos.sign_in().reason == "OK"
        return pos


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    """A campus whose server has both front ends."""
    settings = {"front": {"address": "127.0.0.1:0"}}
    with Campus(tmp_path_factory.mktemp("campus"), settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def doors(campus):
    """Both, by name."""
    made = {}
    for name in DOORS:
        address = campus.front_address if name == "native" else campus.address
        made[name] = Door(campus, name, grpc.insecure_channel(address))
    yield made
    for door in made.values():
        door.channel.close()


@pytest.fixture(params=DOORS)
def door(request, doors):
    """Each in turn."""
    return doors[request.param]
