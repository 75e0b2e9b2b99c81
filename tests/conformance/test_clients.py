"""Clients of other makers, unchanged, at the native front end: with TLS and without.

The gRPC libraries all take the same walk, and must be told the same. The programs that speak bare
HTTP/2 are shown to have moved money.
"""

import json
import re
import subprocess

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from campuscard.v1 import terminal_service_pb2 as pb
from campuscard.v1 import terminal_service_pb2_grpc
from tests.campus import CALL_S, Campus
from tests.conformance.authority import Authority
from tests.conformance.frames import AUTHORIZE, message
from tests.conformance.real import ROOT, need, outcome, run
from tests.terminals import medium_of

CLIENTS = ROOT / "tests" / "conformance" / "clients"
PROTOS = ("act", "options", "terminal_service")
START_FEN = 100_000
STREAMED, BATCHED = 100, 50
LOADS = 2_000
BUILD_S = 300


class Site:
    """A campus with the native front end, and how to reach it."""

    def __init__(self, campus, ca):
        self.campus = campus
        self.ca = ca

    @property
    def address(self):
        return self.campus.front_address

    @property
    def scheme(self):
        return "https" if self.ca else "http"

    @property
    def credentials(self):
        return grpc.ssl_channel_credentials(self.ca.read_bytes())

    def channel(self):
        if self.ca is None:
            return grpc.insecure_channel(self.address)
        return grpc.secure_channel(self.address, self.credentials)

    def aio_channel(self):
        if self.ca is None:
            return grpc.aio.insecure_channel(self.address)
        return grpc.aio.secure_channel(self.address, self.credentials)


@pytest.fixture(scope="module", params=["plain", "TLS"])
def site(request, tmp_path_factory):
    front, ca = {"address": "127.0.0.1:0"}, None
    if request.param == "TLS":
        directory = tmp_path_factory.mktemp("certificates")
        authority = Authority()
        leaf = authority.server()
        ca = directory / "ca.pem"
        ca.write_bytes(authority.pem)
        (directory / "chain.pem").write_bytes(leaf.chain)
        (directory / "key.pem").write_bytes(leaf.key)
        front["certificate"] = str(directory / "chain.pem")
        front["key"] = str(directory / "key.pem")
    with Campus(tmp_path_factory.mktemp("campus"), settings={"front": front}) as running:
        yield Site(running, ca)


@pytest.fixture
def pos(site, request):
    """A terminal of this test's own, signed in at grpcio's door."""
    return site.campus.terminal(f"T{abs(hash(request.node.name)) % 10**12}")


@pytest.fixture
def holder(site):
    return site.campus.open_account(top_up_fen=START_FEN)


def walked(pos):
    """Return what every library must have been told on the walk."""
    sale = ["OK", 700, START_FEN - 700, False]
    left = START_FEN - 700
    stream = [[10 + i, "OK", left - i - 1] for i in range(STREAMED)]
    left -= STREAMED
    batch = [["OUTCOME_APPROVED", left - 2 * (i + 1)] for i in range(BATCHED)]
    return {
        "sale": sale,
        "replay": [*sale[:3], True],
        "other": "DUPLICATE_MISMATCH",
        "field": (3, "FIELD_INVALID", {"BadRequest"}),
        "large": (8, "MESSAGE_TOO_LARGE", set()),
        "never": (5, "TRANSACTION_NOT_FOUND", set()),
        "stream": stream,
        "batch": batch,
        "beat": pos.batch_no,
    }


def heard(said):
    """Bring what a client printed into the form of ``walked``: details decoded."""
    for name in ("field", "large", "never"):
        code, text, details = said[name]
        status = status_pb2.Status.FromString(bytes.fromhex(details))
        assert (status.code, status.message) == (code, text)
        kinds = {any_.type_url.rsplit(".", 1)[-1] for any_ in status.details}
        info = next(d for d in status.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR))
        reason = error_details_pb2.ErrorInfo.FromString(info.value).reason
        said[name] = (code, reason, kinds & {"BadRequest"})
    said["other"] = said["other"][0]
    return said


def requests_of(pos, holder):
    """Return the walk's requests by name."""
    medium = medium_of(holder)
    first = 1
    items = [
        pb.AuthorizeItem(
            terminal_seq=first + 200 + i,
            medium_type=medium.type,
            medium_token=medium.token,
            amount_fen=2,
        )
        for i in range(BATCHED)
    ]
    nameless = pos.purchase(holder, 1, seq=first + 1)
    nameless.terminal_id = ""
    return {
        "sale": pos.purchase(holder, 700, seq=first),
        "other": pos.purchase(holder, 701, seq=first),
        "field": nameless,
        "large": pos.purchase(holder, 1, seq=first + 1, pin="1" * 70_000),
        "never": pb.GetTransactionRequest(seq=1 << 40),
        "stream": [
            pb.AuthorizeStreamRequest(authorization=pos.purchase(holder, 1, seq=first + 10 + i))
            for i in range(STREAMED)
        ],
        "batch": pb.AuthorizeBatchRequest(
            terminal_id=pos.terminal_id, batch_no=pos.batch_no, items=items
        ),
        "beat": pb.HeartbeatRequest(terminal_id=pos.terminal_id),
    }


def decision_of(response):
    d = response.decision
    return [d.reason, d.approved_fen, d.balance_fen, d.replayed]


def refusal_of(error):
    details = next(v for k, v in error.trailing_metadata() if k == "grpc-status-details-bin")
    return [error.code().value[0], error.details(), details.hex()]


def test_grpcio(site, pos, holder):
    asked = requests_of(pos, holder)
    with site.channel() as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)

        def refused(method, request):
            with pytest.raises(grpc.RpcError) as caught:
                method(request, timeout=CALL_S)
            return refusal_of(caught.value)

        said = {
            "sale": decision_of(stub.Authorize(asked["sale"], timeout=CALL_S)),
            "replay": decision_of(stub.Authorize(asked["sale"], timeout=CALL_S)),
            "other": decision_of(stub.Authorize(asked["other"], timeout=CALL_S)),
            "field": refused(stub.Authorize, asked["field"]),
            "large": refused(stub.Authorize, asked["large"]),
            "never": refused(stub.GetTransaction, asked["never"]),
            "stream": [
                [a.terminal_seq - 1, a.decision.reason, a.decision.balance_fen]
                for a in stub.AuthorizeStream(iter(asked["stream"]), timeout=CALL_S)
            ],
            "batch": [
                [pb.Outcome.Name(r.outcome), r.balance_fen]
                for r in stub.AuthorizeBatch(asked["batch"], timeout=CALL_S).results
            ],
            "beat": stub.Heartbeat(asked["beat"], timeout=CALL_S).batch_no,
        }
    assert heard(said) == walked(pos)


async def test_grpcio_of_asyncio(site, pos, holder):
    asked = requests_of(pos, holder)
    async with site.aio_channel() as channel:
        stub = terminal_service_pb2_grpc.TerminalServiceStub(channel)

        async def refused(method, request):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method(request, timeout=CALL_S)
            return refusal_of(caught.value)

        batch = await stub.AuthorizeBatch(asked["batch"], timeout=CALL_S)
        stream = stub.AuthorizeStream(iter(asked["stream"]), timeout=CALL_S)
        said = {
            "stream": [
                [a.terminal_seq - 1, a.decision.reason, a.decision.balance_fen]
                async for a in stream
            ],
            "batch": [[pb.Outcome.Name(r.outcome), r.balance_fen] for r in batch.results],
            "sale": decision_of(await stub.Authorize(asked["sale"], timeout=CALL_S)),
            "replay": decision_of(await stub.Authorize(asked["sale"], timeout=CALL_S)),
            "other": decision_of(await stub.Authorize(asked["other"], timeout=CALL_S)),
            "field": await refused(stub.Authorize, asked["field"]),
            "large": await refused(stub.Authorize, asked["large"]),
            "never": await refused(stub.GetTransaction, asked["never"]),
            "beat": (await stub.Heartbeat(asked["beat"], timeout=CALL_S)).batch_no,
        }
    expected = walked(pos)
    # The batch went first: each answer stands 700 above or below the walk's order.
    expected["batch"] = [[word, fen + 700 + STREAMED] for word, fen in expected["batch"]]
    expected["stream"] = [[s, r, fen + 700 - 2 * BATCHED] for s, r, fen in expected["stream"]]
    sale_fen = START_FEN - 700 - STREAMED - 2 * BATCHED
    expected["sale"][2] = expected["replay"][2] = sale_fen
    assert heard(said) == expected


def walk_arguments(site, pos, holder):
    token = medium_of(holder).token.hex()
    return site.address, site.ca or "-", pos.terminal_id, pos.batch_no, 1, token


def test_grpc_js(site, pos, holder):
    need("node", "npm")
    done = run("node", CLIENTS / "walk.js", *walk_arguments(site, pos, holder))
    assert heard(json.loads(done.stdout)) == walked(pos)


@pytest.fixture(scope="module")
def cpp_client(tmp_path_factory):
    """Compile the walk against the system's C++ library."""
    need("g++", "protoc", "grpc_cpp_plugin", "pkg-config")
    if subprocess.run(["pkg-config", "--exists", "grpc++", "protobuf"], check=False).returncode:
        pytest.skip("lacking: libgrpc++-dev, libprotobuf-dev")
    made = tmp_path_factory.mktemp("cpp")
    plugin = run("which", "grpc_cpp_plugin").stdout.decode().strip()
    run(
        *("protoc", f"-I{ROOT / 'proto'}", f"--cpp_out={made}", f"--grpc_out={made}"),
        f"--plugin=protoc-gen-grpc={plugin}",
        *(ROOT / "proto" / "campuscard" / "v1" / f"{name}.proto" for name in PROTOS),
    )
    sources = [made / "campuscard" / "v1" / f"{name}.pb.cc" for name in PROTOS]
    sources += [made / "campuscard" / "v1" / "terminal_service.grpc.pb.cc", CLIENTS / "walk.cc"]
    flags = run("pkg-config", "--cflags", "--libs", "grpc++", "protobuf").stdout.decode().split()
    program = made / "walk"
    run("g++", "-std=c++17", "-O0", f"-I{made}", *sources, "-o", program, *flags, timeout=BUILD_S)
    return program


@pytest.mark.slow
@pytest.mark.timeout(2 * BUILD_S)
def test_grpc_cpp(site, pos, holder, cpp_client):
    done = run(cpp_client, *walk_arguments(site, pos, holder))
    assert heard(json.loads(done.stdout)) == walked(pos)


@pytest.fixture
def body(tmp_path, pos, holder):
    """A purchase of 900 fen in a file, as a program that knows no gRPC sends it."""
    path = tmp_path / "body"
    path.write_bytes(message(pos.purchase(holder, 900, seq=1).SerializeToString()))
    return path


HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")


def test_h2load_moves_money_once_for_one_key(site, holder, body):
    """All its calls carry the same key: one is decided, the others are answered as it was."""
    need("h2load")
    url = f"{site.scheme}://{site.address}{AUTHORIZE}"
    done = run("h2load", "-n", LOADS, "-c", 8, "-m", 16, "-d", body, *HEADERS, url)
    text = done.stdout.decode()
    assert f"{LOADS} succeeded, 0 failed, 0 errored, 0 timeout" in text
    assert f"status codes: {LOADS} 2xx" in text
    assert holder.online_fen == START_FEN - 900
    data = int(re.search(r"\((\d+)\) data", text)[1])
    assert data >= LOADS * 40, "answers with a decision in them"


def test_nghttp_is_answered_with_data_and_trailers(site, pos, holder, body):
    need("nghttp")
    url = f"{site.scheme}://{site.address}{AUTHORIZE}"
    quiet = ["--no-verify-peer"] if site.ca else []
    done = run("nghttp", *quiet, *HEADERS, "-d", body, url)
    assert done.stdout[:1] == b"\0"
    decision = pb.AuthorizeResponse.FromString(done.stdout[5:]).decision
    assert (decision.reason, decision.balance_fen) == ("OK", START_FEN - 900)
    told = run("nghttp", "-v", "-n", *quiet, *HEADERS, "-d", body, url).stdout.decode()
    assert "grpc-status: 0" in told
    assert pos.transaction(1).decision.balance_fen == START_FEN - 900


def curl(site, tmp_path, *arguments):
    """Run curl; returns headers and trailers by name, and the body."""
    need("curl")
    if "HTTP2" not in run("curl", "--version").stdout.decode():
        pytest.skip("lacking: a curl with HTTP/2")
    kind = ["--cacert", site.ca, "--http2"] if site.ca else ["--http2-prior-knowledge"]
    head, out = tmp_path / "head", tmp_path / "out"
    url = f"{site.scheme}://{site.address}{AUTHORIZE}"
    run("curl", "-sS", *kind, "-D", head, "-o", out, *arguments, url)
    lines = head.read_text(encoding="ascii").splitlines()
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    found["status"] = next(line.split()[1] for line in lines if line.startswith("HTTP/2"))
    return found, out.read_bytes() if out.exists() else b""


def test_curl_pays_and_is_refused(site, tmp_path, holder, body):
    headers, answer = curl(site, tmp_path, *HEADERS, "--data-binary", f"@{body}")
    assert (headers["status"], headers["grpc-status"]) == ("200", "0")
    decision = pb.AuthorizeResponse.FromString(answer[5:]).decision
    assert (decision.reason, decision.balance_fen) == ("OK", START_FEN - 900)
    assert holder.online_fen == START_FEN - 900
    body.write_bytes(message(pb.AuthorizeRequest(amount_fen=1).SerializeToString()))
    headers, answer = curl(site, tmp_path, *HEADERS, "--data-binary", f"@{body}")
    assert (headers["status"], headers["grpc-status"]) == ("200", "3")
    assert headers["grpc-status-details-bin"]


def test_curl_that_speaks_no_grpc_is_told_so(site, tmp_path):
    headers, _ = curl(site, tmp_path)
    assert headers["status"] == "405"


@pytest.mark.parametrize("size", [10, 60_000, 900_000])
def test_curl_that_still_sends_when_it_is_refused_hears_why(site, tmp_path, size):
    """It takes a reset behind the answer for an error, though that says NO_ERROR."""
    body = tmp_path / "form"
    body.write_bytes(bytes(size))
    kind = ["-H", "Content-Type: application/json"]
    headers, _ = curl(site, tmp_path, *kind, "--data-binary", f"@{body}")
    assert headers["status"] == "415"
    body.write_bytes(b"\0" + size.to_bytes(4) + bytes(size))
    headers, _ = curl(site, tmp_path, *HEADERS, "--data-binary", f"@{body}")
    assert headers["status"] == "200"
    assert headers["grpc-status"] in {"3", "8"}, "no request, or too large a one"


def test_a_form_is_told_that_it_is_none(site, tmp_path):
    need("nghttp")
    form = tmp_path / "form"
    form.write_bytes(b"amount=1")
    url = f"{site.scheme}://{site.address}{AUTHORIZE}"
    text = run("nghttp", "-v", "-n", "--no-verify-peer", "-d", form, url).stdout.decode()
    assert ":status: 415" in text


def test_a_browser_that_offers_no_http2_is_not_served(site):
    """HTTP/1.1 over TLS fails at the handshake; without TLS the connection is closed."""
    need("curl")
    kind = ["--cacert", site.ca] if site.ca else []
    url = f"{site.scheme}://{site.address}{AUTHORIZE}"
    done = outcome("curl", "-sS", "--http1.1", "-m", "10", *kind, url)
    assert done.returncode != 0
