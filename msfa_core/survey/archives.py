"""Archives of spectra (zip, tar, packed or not) among the files of a user, read file by file."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from msfa_core.errors import ReadError

ARCHIVES: Final = (*(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
CLOSED: Final = (".7z", ".rar")  # which Python does not open: named among the rejected files
_LARGEST: Final = 2**28  # bytes of one spectrum; its file has 0.1 to 10 million

Read = Callable[[], bytes]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive that can be read."""
    return path.name.lower().endswith(ARCHIVES)


def members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Read]]:
    """Return the files of an archive one after another: name, and how to get the content.

    Parameters
    ----------
    path : Path
    suffixes : tuple of str
        Endings of the files that are wanted; of others only archives are given, to be named.

    Raises
    ------
    ReadError
        When it is damaged, locked or none of these; what came before is whole.
    """
    try:
        yield from (_of_zip if zipfile.is_zipfile(path) else _of_tar)(path, suffixes)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from None
    except (OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ReadError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ReadError(
        f"{path}: is an archive that cannot be read to its end ({reason}); unpack it, or download "
        "it again."
    )


def _of_zip(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Read]]:
    with zipfile.ZipFile(path) as packed:
        for one in packed.infolist():
            if not one.is_dir() and _is_wanted(one.filename, suffixes):
                read = partial(packed.read, one.filename)
                yield one.filename, _limited(path / one.filename, one.file_size, read)


def _of_tar(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Read]]:
    with tarfile.open(path, "r:*") as packed:
        for one in packed:
            if one.isfile() and _is_wanted(one.name, suffixes):
                stream = packed.extractfile(one)
                if stream is not None:
                    yield one.name, _limited(path / one.name, one.size, partial(_bytes_of, stream))


def _is_wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    base = PurePosixPath(name).name
    return base.lower().endswith((*suffixes, *ARCHIVES, *CLOSED)) and not base.startswith(".")


def _bytes_of(stream: IO[bytes]) -> bytes:
    return stream.read()


def _limited(file: Path, size: int, read: Read) -> Read:
    """Return how to read a file, unless it is too large for a spectrum."""

    def refuse() -> bytes:
        raise ReadError(f"{file}: is too large for one spectrum; give one spectrum a file.")

    return read if size <= _LARGEST else refuse
