"""Many files: what each holds, or why it cannot be read.

Worker processes import this and what reading needs, nothing of the survey.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from msfa_core.errors import MsfaError, ReadError, shown
from msfa_core.spectra.readers import READER_VERSION, read_spectrum, spectrum_of
from msfa_core.spectra.shards import FILE_SIZE, FILE_TIME, READ_BY
from msfa_core.spectra.spectrum import Spectrum

_NOT_KEPT: Final = ("andmask", "noted")


@dataclass(frozen=True, slots=True)
class FileRead:
    """One file that was read, or why not.

    Attributes
    ----------
    file : str
    spectrum : Spectrum or None
        Its ``meta`` holds size and time of the file, and the version of the reader, too.
    reason : str
        Why there is none.
    noted : str
        What was taken otherwise than a header says it, or brought to our scale.
    stamp : (int, int)
        Size and time of the file; zeros where nobody has seen what is in it.
    """

    file: str
    spectrum: Spectrum | None
    reason: str = ""
    noted: str = ""
    stamp: tuple[int, int] = (0, 0)


def read_files(files: Sequence[Path]) -> list[FileRead]:
    """Read some files; the work of one task."""
    return [read_file(file) for file in files]


def read_file(
    file: Path, content: Callable[[], bytes] | None = None, archive: Path | None = None
) -> FileRead:
    """Read a file, or one of an archive, whose size and time count then."""
    stamp = (0, 0)
    try:
        said = (archive or file).stat()
        stamp = said.st_size, said.st_mtime_ns
        if stat.S_ISFIFO(said.st_mode) or stat.S_ISSOCK(said.st_mode):
            raise ReadError(f"{file}: is a pipe, which may wait for ever; give a file.")
        spectrum = read_spectrum(file) if content is None else spectrum_of(file, content())
    except MsfaError as error:
        is_seen = not isinstance(error.__cause__, OSError)
        return FileRead(shown(file), None, shown(error), stamp=stamp if is_seen else (0, 0))
    except FileNotFoundError:
        reason = f"{file}: no such file; where it is a link, what it leads to is gone."
        return FileRead(shown(file), None, shown(reason))
    except Exception as error:  # one strange file must not stop thousands of others
        reason = " ".join(str(error).split()) or "no further reason given"
        reason = f"{file}: cannot be read ({type(error).__name__}: {reason})."
        return FileRead(shown(file), None, shown(reason))
    kept = {FILE_SIZE: stamp[0], FILE_TIME: stamp[1], READ_BY: READER_VERSION}
    meta = {key: value for key, value in spectrum.meta.items() if key not in _NOT_KEPT}
    words = [str(spectrum.meta[key]) for key in ("noted",) if key in spectrum.meta]
    if "wavelength_scale" in spectrum.meta:
        words.append(f"wavelengths {spectrum.meta['wavelength_scale']}")
    read = replace(spectrum, file=shown(file), meta={**meta, **kept})
    return FileRead(read.file, read, noted="; ".join(words), stamp=stamp)
