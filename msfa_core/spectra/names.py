"""What the name of a file tells of an observation, and the number made from it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

_LAMOST_NAME: Final = re.compile(r"(?:spec|med)-(\d+)-(.+)_sp(\d+)-(\d+)", re.I)
_SDSS_NAME: Final = re.compile(r"spec-(\d+)-(\d+)-(\d+)", re.I)
_PACKED: Final = re.compile(r"\.gz$", re.I)
_ENDING: Final = re.compile(r"\.(gz|fits?)$")
# Made numbers lie above every LAMOST number and below 2**53, where a float is still exact.
_MADE_BITS: Final = 52


def identity_from_name(name: str | Path) -> tuple[int, str, int, int] | None:
    """Return what the name of a LAMOST file says about the observation.

    Parameters
    ----------
    name : str or Path
        ``spec-{LMJD}-{PLANID}_sp{SPID}-{FIBERID}.fits[.gz]``, with or without a folder.

    Returns
    -------
    (lmjd, planid, spid, fiberid) or None
        None when the name follows another pattern.
    """
    match = _LAMOST_NAME.match(_last_part(name))
    if not match:
        return None
    return int(match[1]), match[2], int(match[3]), int(match[4])


def _last_part(name: str | Path) -> str:
    return name.name if isinstance(name, Path) else Path(name).name


def obsid_from_name(name: str | Path) -> int:
    """Return a number for an observation whose file has none.

    The same local date, plan, spectrograph and fibre (SDSS: plate, date and fibre) give the same
    number on every machine; it lies between 2**52 and 2**53, so that it never meets a LAMOST
    number and survives a float.
    """
    return made_obsid(name, identity_from_name(name))


def made_obsid(name: str | Path, identity: tuple[int, str, int, int] | None) -> int:
    """Return such a number where it is known what the name or the header says."""
    stem = _ENDING.sub("", _PACKED.sub("", _last_part(name)))
    sdss = _SDSS_NAME.fullmatch(stem)
    if identity:
        lmjd, planid, spid, fiberid = identity
        key = f"lamost/{lmjd}/{planid.upper()}/{spid}/{fiberid}"
    elif sdss:
        key = f"sdss/{int(sdss[1])}/{int(sdss[2])}/{int(sdss[3])}"
    else:
        key = f"file/{stem}"
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _MADE_BITS)) | (1 << _MADE_BITS)
