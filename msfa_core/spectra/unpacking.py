"""The bytes of a spectrum's file: read whole, unpacked, and refused where they are no FITS file."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import os
import re
import zlib
from io import FileIO
from pathlib import Path
from typing import Final

import deflate

from msfa_core.errors import ReadError

_GZIP: Final = b"\x1f\x8b"
_SUMS: Final = 8  # bytes at the end of a member: its checksum and size, inflated
_GZIP_WINDOW: Final = 31  # zlib's number for "gzip header and checksum, largest window"
_WEB_PAGE: Final = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|!--)", re.I
)
_VOTABLE: Final = re.compile(rb"<(?:\w+:)?VOTABLE\b")
_BEGINNING: Final = 4096  # bytes in which a file says what it is
AGAIN: Final = "download it again"
_AS_FITS: Final = (
    "give a LAMOST or SDSS spectrum in FITS, or write yours as a table with the columns FLUX, "
    "IVAR and WAVELENGTH (vacuum Å)"
)
LARGEST: Final = 2**29  # bytes; spectra are 0.02–5 MB, so more is not a spectrum


def problem(path: Path | str, reason: str, remedy: str) -> ReadError:
    """Return the one-line error of a file: its name, what is wrong, what to do."""
    return ReadError(" ".join(f"{path}: {reason}; {remedy}.".split()))


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, inflated when it is a gzip stream (whatever its name says).

    Raises
    ------
    ReadError
        When there is no such file, or it is empty, a folder, cut short, or a web page.
    """
    try:
        with FileIO(path) as file:
            size = os.fstat(file.fileno()).st_size
            raw = file.read(size + 1) if size <= LARGEST else None
            if raw is not None and len(raw) != size:  # no plain file, or one that grows
                raw += file.readall()
    except FileNotFoundError:
        raise problem(path, "no such file", "check the path") from None
    except IsADirectoryError:
        raise problem(path, "is a folder", "name a file in it, or ingest the folder") from None
    except OSError as error:
        raise problem(path, f"cannot be opened ({error.strerror})", "check the disk") from error
    if raw is None:
        raise problem(path, "is too large for one spectrum", "give one spectrum a file")
    return unpacked(path, raw)


def unpacked(path: Path, raw: bytes) -> bytes:
    """Return the content of a FITS file, inflated where it is packed.

    Parameters
    ----------
    path : Path
        For messages.
    raw : bytes
        As the file lies on the disk, or in an archive.

    Raises
    ------
    ReadError
        When it is empty, cut short, an archive, a web page, or no FITS file.
    """
    if not raw:
        raise problem(path, "empty file (0 bytes)", AGAIN)
    if raw.startswith(_GZIP):
        raw = _inflate(path, raw)
    for magic, unpack in ((b"BZh", bz2.decompress), (b"\xfd7zXZ\x00", lzma.decompress)):
        if raw.startswith(magic):
            try:
                raw = unpack(raw)
            except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
                raise problem(path, f"its packing is damaged ({error})", AGAIN) from None
    if is_archive(raw):
        raise problem(path, "is an archive of files", "unpack it and give the folder")
    if not raw.startswith(b"SIMPLE  ="):
        if _VOTABLE.search(raw, 0, _BEGINNING):
            raise problem(path, "is a VOTable, not a FITS file", _AS_FITS)
        if _WEB_PAGE.match(raw):
            reason = "holds a web page, not a spectrum (a login or error page was saved)"
            raise problem(path, reason, f"{AGAIN}, with your LAMOST token where one is needed")
        raise problem(path, "is not a FITS file", _AS_FITS)
    return raw


def is_archive(raw: bytes) -> bool:
    """Tell whether bytes are a zip, tar, 7z or RAR archive."""
    return raw.startswith((b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!")) or raw[257:262] == b"ustar"


def _inflate(path: Path, raw: bytes) -> bytes:
    """Inflate a gzip stream: one member at once, others with care.

    The stream is one member when its last bytes are the checksum and size of the first.
    """
    checksum, promised = (int.from_bytes(part, "little") for part in (raw[-_SUMS:-4], raw[-4:]))
    if 0 < promised <= LARGEST:
        with contextlib.suppress(deflate.DeflateError, ValueError):
            content = bytes(deflate.gzip_decompress(raw))
            if len(content) == promised and deflate.crc32(content) == checksum:
                return content
    return _inflate_members(path, raw)


def _inflate_members(path: Path, raw: bytes) -> bytes:
    """Inflate every member of a gzip stream; bytes behind the last member are padding."""
    parts = []
    room = LARGEST
    while raw.startswith(_GZIP):
        member = zlib.decompressobj(wbits=_GZIP_WINDOW)
        try:
            parts.append(member.decompress(raw, room))
        except zlib.error as error:
            raise problem(path, f"the gzip stream is damaged ({error})", AGAIN) from None
        room -= len(parts[-1])
        if not member.eof and room <= 0:
            raise problem(path, "is too large for one spectrum", "give one spectrum a file")
        if not member.eof:
            raise problem(path, "the gzip stream ends too early (truncated)", AGAIN)
        raw = member.unused_data
    content = b"".join(parts)
    if not content:
        raise problem(path, "empty file (0 bytes in the gzip stream)", AGAIN)
    return content
