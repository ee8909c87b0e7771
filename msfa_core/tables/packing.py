"""What surrounds a table in a file: packing, archives, encodings."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import numpy as np

from msfa_core.tables.text import problem

WORD: Final = 0xFFFFFFFF  # 32 bits
_BYTES: Final = 4  # of a word
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")  # marks at the beginning of such text
_SHOWN: Final = 8  # tables named in a message
_PACKED: Final[tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", "gzip", gzip.decompress),
    (b"BZh", "bzip2", bz2.decompress),
    (b"\xfd7zXZ\x00", "xz", lzma.decompress),
)
_NO_MEMBERS: Final = ("__macosx/", ".ds_store", "readme", "license", "._")


def split_path(path: str | Path) -> tuple[Path, str]:
    """Return a path and the table wanted of it (``FILE#TABLE``)."""
    path = Path(path)
    if path.exists() or "#" not in path.name:
        return path, ""
    name, _, wanted = path.name.partition("#")
    return path.with_name(name), wanted


def stored(path: Path) -> bytes:
    """Return the content of a file as it lies on the disk.

    Raises
    ------
    CatalogueError
        When it cannot be read, or is empty.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise problem(path, "no such file", "check the path") from None
    except IsADirectoryError:
        raise problem(path, "is a folder", "name a table in it") from None
    except OSError as error:
        raise problem(path, f"cannot be opened ({error.strerror})", "check the disk") from None
    if not content.strip():
        raise problem(path, "is empty", "download or save it again")
    return content


def unpacked(path: Path, content: bytes, wanted: str) -> tuple[bytes, str]:
    """Return the content without gzip, bzip2, xz, zip or tar around it."""
    for _ in range(3):
        for magic, name, unpack in _PACKED:
            if content.startswith(magic):
                try:
                    content = unpack(content)
                except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                    reason = f"the {name} stream is damaged or cut short ({error})"
                    raise problem(path, reason, "download it again") from None
                break
        else:
            archive = _archive(path, content)
            if archive is None:
                break
            content, wanted = _member(path, archive, wanted)
    if not content.strip():
        raise problem(path, "is empty", "download or save it again")
    return content, wanted


def _archive(path: Path, content: bytes) -> dict[str, Callable[[], bytes]] | None:
    """Return the files of an archive by name; None when the content is none."""
    if content.startswith(b"PK\x03\x04"):
        try:
            packed = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError):
            reason = "is a spreadsheet or zip archive that cannot be opened"
            raise problem(path, reason, "save the table as CSV") from None
        names = [one.filename for one in packed.infolist() if not one.is_dir()]
        if "[Content_Types].xml" in names or "mimetype" in names:
            raise problem(path, "is a spreadsheet", "save the table as CSV")
        return {name: partial(packed.read, name) for name in names}
    if content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found: dict[str, Callable[[], bytes]] = {}
            for one in tar.getmembers():
                stream = tar.extractfile(one) if one.isfile() else None
                if stream is not None:
                    found[one.name] = partial(bytes, stream.read())
        return found
    return None


def _member(path: Path, archive: dict[str, Callable[[], bytes]], wanted: str) -> tuple[bytes, str]:
    """Return the one table of an archive, or the one that is wanted."""
    tables = [
        name
        for name in archive
        if not any(part in name.lower() for part in _NO_MEMBERS[:2])
        and not PurePosixPath(name).name.lower().startswith(_NO_MEMBERS[2:])
    ]
    first, _, rest = wanted.partition("#")
    chosen = [name for name in tables if first in (name, PurePosixPath(name).name)]
    if not chosen and len(tables) == 1:
        chosen, rest = tables, wanted
    if len(chosen) != 1:
        listed = ", ".join(tables[:_SHOWN]) or "none"
        if tables and all(name.endswith(".npy") for name in tables):
            reason = f"is a NumPy archive of {len(tables)} arrays ({listed})"
            raise problem(path, reason, "save the table as CSV or FITS")
        reason = f"is an archive of {len(tables)} tables ({listed})"
        raise problem(path, reason, f"unpack it, or name one as {path.name}#NAME")
    try:
        return archive[chosen[0]](), rest
    except (OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        reason = f"its file {chosen[0]} cannot be unpacked ({error})"
        raise problem(path, reason, "unpack it by hand") from None


def decoded(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return text in whatever encoding, and a note where it was guessed."""
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8"),
        *((mark, "utf-16") for mark in UTF_16),
    ):
        if content.startswith(mark):
            return content.decode("utf-8-sig" if name == "utf-8" else name), ()
    even, odd = content[:4096:2].count(0), content[1:4096:2].count(0)
    if max(even, odd) > len(content[:4096]) / 5 and min(even, odd) == 0:
        name = "utf-16-be" if even else "utf-16-le"
        return content.decode(name), (f"read as {name.upper()}",)
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if re.search(rb"[\x80-\x9f]", content):  # controls in Latin-1, signs in Windows-1252
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode("cp1252"), ("read as Windows-1252, for it is not UTF-8",)
    return content.decode("latin-1"), ("read as Latin-1, for it is not UTF-8",)


class Recoded(io.RawIOBase):
    """A stream of UTF-16, which a mark begins, as one of UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, b""
        self._decoder = codecs.getincrementaldecoder("utf-16")()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        while not self._left:
            content = self._stream.read(len(buffer))
            self._left = self._decoder.decode(content, final=not content).encode("utf-8")
            if not content:
                break
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


# --- checksums of FITS ------------------------------------------------------------------------
def ones_complement_sum(content: bytes | memoryview) -> int:
    """Return the 32-bit ones'-complement sum of whole words (FITS standard 4.0, appendix J)."""
    return folded(int(np.frombuffer(content, ">u4").sum(dtype=np.uint64)))


class RunningSum:
    """The 32-bit ones'-complement sum of data that come in pieces of any length."""

    def __init__(self) -> None:
        self._total, self._rest = 0, b""

    def add(self, content: bytes) -> None:
        """Add the next piece."""
        content = self._rest + content if self._rest else content
        whole = len(content) // _BYTES * _BYTES
        self._total = folded(self._total + ones_complement_sum(memoryview(content)[:whole]))
        self._rest = content[whole:]

    @property
    def value(self) -> int:
        """Of all pieces, filled up with zeros to a whole word."""
        return folded(self._total + int.from_bytes(self._rest.ljust(_BYTES, b"\0")))


def folded(total: int) -> int:
    """Return a sum of words as the standard folds it into 32 bits."""
    while total > WORD:
        total = (total & WORD) + (total >> 32)
    return total
