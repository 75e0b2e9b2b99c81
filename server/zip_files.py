"""Zip archives from outside: measured before they are opened, read within bounds.

The directory of an archive is looked at by its own size and count first, because opening it reads
it whole; contents are then never read beyond what the directory declares.

**Source:** regulation 七.4; PKWARE APPNOTE.TXT 6.3.10, sections 4.3.16 (end of directory) and 4.4.4 (flag bits).
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from dataclasses import dataclass
from typing import IO, Final

from core.refusals import Refusal

_END: Final = struct.Struct("<4sHHHHIIH")
_END_MARK: Final = b"PK\x05\x06"
_ZIP64_MARK: Final = b"PK\x06\x07"
_ZIP64_BYTES: Final = 20
_COMMENT_MAX: Final = 65_535
_UTF8_NAME: Final = 0x800
_ENCRYPTED: Final = 0x1
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an archive may be at most.

    Args:
        entries: files and folders in it.
        directory_bytes: of its directory.
    """

    entries: int
    directory_bytes: int


def open_zip(stream: IO[bytes], bounds: Bounds) -> zipfile.ZipFile:
    """Open an archive within bounds.

    Raises:
        Refusal: FILE_REFUSED with the reason in ``detail``.
    """
    _check_directory(stream, bounds)
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise refused("a damaged archive") from error


def refused(detail: str) -> Refusal:
    """Return the refusal of a whole file."""
    return Refusal("FILE_REFUSED", detail=detail)


def entry_fault(info: zipfile.ZipInfo, *, bytes_max: int, ratio_max: int) -> str:
    """Say why an entry must not be read; empty: it may.

    Args:
        info: of the archive.
        bytes_max: unpacked.
        ratio_max: unpacked bytes per packed byte.
    """
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in _METHODS:
        return "packed by another method than deflate"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        return "a link or device"
    if info.file_size > bytes_max:
        return f"more than {bytes_max} bytes"
    if info.file_size > ratio_max * max(info.compress_size, 1):
        return f"unpacks to more than {ratio_max} times its size"
    return ""


def entry_name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name as its maker meant it: UTF-8 where it says or shows so, else GBK."""
    if info.flag_bits & _UTF8_NAME:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


def read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, bytes_max: int) -> bytes:
    """Read one entry, at most ``bytes_max`` and one more.

    Raises:
        zipfile.BadZipFile: it is damaged, or not what the directory says.
    """
    try:
        with archive.open(info) as content:
            return content.read(bytes_max + 1)
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise zipfile.BadZipFile(str(error)) from error
    except Exception as error:
        # zlib.error is no subclass of anything that says what it is.
        raise zipfile.BadZipFile(str(error)) from error


def _check_directory(stream: IO[bytes], bounds: Bounds) -> None:
    size = stream.seek(0, os.SEEK_END)
    tail_at = max(0, size - _END.size - _COMMENT_MAX)
    stream.seek(tail_at)
    tail = stream.read(_END.size + _COMMENT_MAX)
    at = len(tail) - _END.size
    if at < 0 or not (tail.startswith(_END_MARK, at) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise refused("no zip archive")
    if tail.rfind(_ZIP64_MARK, max(0, at - _ZIP64_BYTES), at) >= 0:
        raise refused("an archive of the zip64 format")
    _, disk, start_disk, here, entries, directory, offset, _ = _END.unpack_from(tail, at)
    if disk or start_disk or here != entries:
        raise refused("an archive of several parts")
    if entries > bounds.entries:
        raise refused(f"more than {bounds.entries} entries")
    if directory > bounds.directory_bytes or directory + offset > size:
        raise refused(f"a directory of more than {bounds.directory_bytes} bytes, or a wrong one")
