"""Data directories and a server of blocks, without an engine."""

import threading
from concurrent import futures

import grpc

from campuscard.v1 import ops_service_pb2 as pb
from campuscard.v1 import ops_service_pb2_grpc as pb_grpc
from server.offline.copies import make_copy, open_copy
from server.offline.identity import Identity

SEGMENT_BYTES = 262_144
IDENTITY = Identity(
    flags=1,
    uuid=bytes(range(16)),
    created_us=1,
    segment_bytes=SEGMENT_BYTES,
    key_check=b"check-of-the-key",
    key_id=1,
)


def write_directory(path, sealed, identity=IDENTITY):
    """Make a data directory that holds these blocks."""
    make_copy(path, identity.pack())
    with open_copy(path) as copy:
        for block in sealed:
            copy.append(block)
            copy.prepare()
    return path


def write_key(path, check=IDENTITY.key_check):
    """Make a key file."""
    path.write_bytes(b"CAMPKEY1" + bytes([1]) + bytes(7) + bytes(32) + check)
    path.chmod(0o600)
    return path


class BlockServer(pb_grpc.OpsServiceServicer):
    """Answers GetHead and Follow from a list of blocks, a few at a time, and FetchFiles of `files`."""

    def __init__(self, sealed, *, identity=IDENTITY):
        self.sealed = list(sealed)
        self.identity = identity
        self.files = {}
        self.break_after = 0
        self.hang = False
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        pb_grpc.add_OpsServiceServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_exception):
        self.server.stop(0).wait()

    @property
    def head(self):
        return int.from_bytes(self.sealed[-1][32:40], "little") if self.sealed else 0

    def GetHead(self, request, context):  # noqa: N802 - gRPC's name
        return pb.GetHeadResponse(acknowledged_seq=self.head, identity=self.identity.pack())

    def FetchFiles(self, request, context):  # noqa: N802 - gRPC's name
        for address in request.addresses:
            yield pb.FetchFilesResponse(address=address, sealed=self.files.get(address, b""))

    def Follow(self, request, context):  # noqa: N802 - gRPC's name
        wanted = [b for b in self.sealed if int.from_bytes(b[32:40], "little") >= request.from_seq]
        for sent, start in enumerate(range(0, len(wanted), 7), start=1):
            yield pb.FollowResponse(blocks=wanted[start : start + 7], head_seq=self.head)
            if sent == self.break_after:
                self.break_after = 0
                context.abort(grpc.StatusCode.UNAVAILABLE, "the line broke")
        if self.hang:
            threading.Event().wait(5)
        if not request.stop_at_head:
            context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
