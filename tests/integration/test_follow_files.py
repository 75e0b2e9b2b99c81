"""A follower has the photos and papers too, and somebody can take over with them."""

import shutil

import grpc
import pytest

from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import ops_service_pb2 as pb
from campuscard.v1 import roster_pb2
from clients.session import Bearer
from core.blocks import Block
from server.offline import follow, followed_files, restore
from server.offline.copies import open_copy
from server.offline.follow import FollowError
from server.offline.identity import read
from tests.campus import CALL_S, Campus
from tests.cards import PDF, CardDesk, refused
from tests.offline.directories import BlockServer
from tests.rosters import as_csv, import_roster, jpeg, rows, upload_photo

PEOPLE = 5


class Source:
    """A campus with photos and a paper."""

    def __init__(self, campus):
        self.campus = campus
        self.lines = rows(PEOPLE, first=202571020001, group="副本班")
        import_roster(campus, as_csv(self.lines))
        for shade, line in enumerate(self.lines):
            upload_photo(campus, line[7], jpeg(shade=shade))
        desk, holder = CardDesk(campus), campus.open_account()
        holder.lose()
        self.case_no = desk("OpenReplacement", account_no=holder.account_no).case_no
        paper = {"case_no": self.case_no, "paper": cards_pb.CASE_PAPER_FORM}
        desk("AttachDocument", **paper, content=PDF)

    def photo(self, number=0):
        request = roster_pb2.GetPhotoRequest(account_no=self.lines[number][1])
        stub = self.campus.staff.stub("CardOfficeService")
        return stub.GetPhoto(request, timeout=CALL_S).content

    def paper(self):
        paper = {"case_no": self.case_no, "paper": cards_pb.CASE_PAPER_FORM}
        return CardDesk(self.campus)("GetDocument", **paper).content

    def follow(self, to):
        return follow.run(
            self.campus.address,
            to,
            stop_at_head=True,
            interceptors=[Bearer(lambda: self.campus.staff.token)],
        )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("campus")) as running:
        yield Source(running)


def files_in(directory):
    """Return every file below ``files`` with its content."""
    folder = directory / "files"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.clause("七.2")
def test_a_copy_has_every_file_and_goes_on_where_it_stopped(source, tmp_path, monkeypatch):
    monkeypatch.setattr(followed_files, "AT_ONCE", 2)
    copy = tmp_path / "copy"
    result = source.follow(copy)
    assert (result.files.copied, result.files.missing) == (PEOPLE + 1, 0)
    there = files_in(source.campus.data)
    assert files_in(copy) == there
    assert result.files.size_bytes == sum(map(len, there.values()))
    assert source.follow(copy).files.copied == 0
    (copy / followed_files.MARK).unlink()
    assert source.follow(copy).files.copied == 0, "what is whole is not fetched again"
    gone, torn = sorted(there)[:2]
    (copy / "files" / gone).unlink()
    (copy / "files" / torn).write_bytes(there[torn][:-1])
    (copy / followed_files.MARK).unlink()
    assert source.follow(copy).files.copied == 2
    assert files_in(copy) == there
    upload_photo(source.campus, source.lines[0][7], jpeg(shade=99))
    assert source.follow(copy).files.copied == 1


@pytest.mark.clause("七.2")
def test_a_file_the_source_has_lost_does_not_end_the_following(source, tmp_path):
    name = min(files_in(source.campus.data))
    path = source.campus.data / "files" / name
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    try:
        result = source.follow(tmp_path / "copy")
    finally:
        path.write_bytes(kept)
    assert result.complete
    assert result.files.missing == 1
    assert name not in files_in(tmp_path / "copy")


def test_other_bytes_than_the_name_says_are_not_taken(source, tmp_path):
    source.follow(tmp_path / "copy")
    with open_copy(tmp_path / "copy") as copy:
        blocks = copy.blocks(1)
    address = next(name for raw in blocks for name in followed_files.named_in(Block(raw)))
    with BlockServer(blocks, identity=read(tmp_path / "copy")) as liar:
        liar.files[address] = b"other bytes"
        with pytest.raises(FollowError, match="arrived damaged"):
            follow.run(liar.address, tmp_path / "other", stop_at_head=True)
    assert files_in(tmp_path / "other") == {}
    with open_copy(tmp_path / "other") as copy:
        assert copy.last_seq, "the journal is right and is kept"


@pytest.mark.parametrize("addresses", [[], [bytes(32)] * 257, [bytes(31)]], ids=["0", "257", "31"])
def test_what_cannot_be_fetched_is_said(source, addresses):
    stub = source.campus.ops
    request = pb.FetchFilesRequest(addresses=addresses)
    refused("FIELD_INVALID", lambda: list(stub.FetchFiles(request, timeout=CALL_S)))


def test_who_may_not_copy_the_journal_gets_no_file(source):
    officer = source.campus.member("officer", "CARD_OFFICER")
    request = pb.FetchFilesRequest(addresses=[bytes(32)])
    with pytest.raises(grpc.RpcError) as caught:
        list(officer.stub("OpsService").FetchFiles(request, timeout=CALL_S))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    (answer,) = source.campus.ops.FetchFiles(request, timeout=CALL_S)
    assert (answer.address, answer.sealed) == (bytes(32), b"")


@pytest.mark.clause("七.2", "三.1(3)")
def test_somebody_takes_over_with_the_copy_and_the_keys(tmp_path):
    """Photos and papers are read again after the source's directory is gone."""
    with Campus(tmp_path / "campus") as campus:
        source = Source(campus)
        photo, paper = source.photo(), source.paper()
        source.follow(tmp_path / "copy")
        campus.stop()
        lost = tmp_path / "lost"
        campus.data.rename(lost)
        shutil.copytree(lost / "keys", tmp_path / "copy" / "keys")
        key_file = campus.directory / "campuscard.key"
        restored = restore.run(tmp_path / "copy", campus.data, key_file=key_file)
        assert restored.ok, restored.verdict.difference
        assert restored.missing == ()
        campus.start()
        campus.staff.sign_in()
        assert (source.photo(), source.paper()) == (photo, paper)
