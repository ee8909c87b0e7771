"""The units of a FITS file that is not plain (scaled, compressed, odd cards), read by astropy."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.errors import ReadError
from msfa_core.spectra.fits_bytes import MOST_FIELDS, Hdu, other_data
from msfa_core.spectra.fits_cards import CARD
from msfa_core.spectra.unpacking import AGAIN, LARGEST, problem

_COUNTING: Final = re.compile(rb"(NAXIS|TFIELDS|PCOUNT)(\d*) *= +([+-]?\d{1,70}) *(?=/|$| )")

_FINEST: Final = 10.0  # steps that inverse variances are at least in the middle


class _AstropyHdu:
    """One unit as astropy read it."""

    def __init__(self, path: Path, header: Mapping[str, Any], data: Any, step: float = 1.0) -> None:
        self._path, self._step = path, step
        self._header, self._comments = header, getattr(header, "comments", {})
        self._data = data
        self.name = str(self.card("EXTNAME") or "").strip().upper()
        names = getattr(getattr(data, "dtype", None), "names", None)
        self._names = {} if names is None else {name.strip().upper(): name for name in names[::-1]}

    def card(self, key: str) -> Any:
        """Return the value of a header card; None when absent or undefined."""
        from astropy.io.fits import VerifyError  # noqa: PLC0415  see astropy_units

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = self._header.get(key)
        except VerifyError:  # a card that makes no sense says nothing
            return None
        if isinstance(value, str):
            return value.rstrip()
        return value if isinstance(value, (bool, int, float)) else None

    def comment(self, key: str) -> str:
        """Return the comment of a card; empty when there is none."""
        return str(self._comments[key]) if key in self._header else ""

    def remarks(self, word: str) -> list[str]:
        """Return the lines of its own (COMMENT, HISTORY) in which a header has a word."""
        said = (self._header[key] for key in ("COMMENT", "HISTORY") if key in self._header)
        return [str(line) for lines in said for line in lines if word in str(line).lower()]

    def which(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has."""
        return [key for key in keys if key in self._header]

    def answers(self, question: Callable[[Hdu], bool]) -> bool:
        """Return False: nothing is remembered of files that are not plain."""
        return False

    def twice(self, keys: tuple[str, ...]) -> list[str]:
        """Return those of some cards that the header has more than once, with other values."""
        header: Any = self._header
        counts = {key: header.count(key) for key in self.which(keys)}
        return [
            key
            for key, n in counts.items()
            if n > 1 and len({str(header[(key, i)]) for i in range(n)}) > 1
        ]

    @property
    def image(self) -> NDArray[Any] | None:
        """The image; None for a table or an empty unit."""
        if self._data is None or self._names:
            return None
        image = np.asarray(self._data)
        blank = self.card("BLANK")
        if type(blank) is int and image.dtype.kind in "iu":  # astropy heeds it of scaled images
            return np.where(image == blank, np.nan, image)
        if self._step % 1.0 and image.ndim > 1 and len(image) > 1:
            self._check_packed(image[1])
        return image

    def _check_packed(self, ivar: NDArray[Any]) -> None:
        """Refuse an image of a spectrum whose inverse variances went under in steps of its flux."""
        positive = ivar[ivar > 0]
        if positive.size and (middle := float(np.median(positive))) < _FINEST * abs(self._step):
            raise problem(
                self._path,
                f"its numbers are packed in steps of {abs(self._step):.3g} (BSCALE), and its "
                f"inverse variances are {middle:.3g} in the middle: they are lost",
                "give the file as it was downloaded",
            )

    @property
    def columns(self) -> Sequence[str]:
        """Names of the table columns, upper case; empty for an image."""
        return tuple(self._names)[::-1]

    def column(self, name: str) -> NDArray[Any]:
        """Return all values of a column as one flat array."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                values = np.asarray(self._data[self._names[name]])
                if values.dtype.kind == "b" and values.ndim > 1 and len(values) > 1:
                    return _as_numbers(values)
                values = values.ravel()
                stored = self._data.view(np.ndarray)[self._names[name]].ravel()
                null = self._data.columns[self._names[name]].null
                if null in (None, "") or stored.dtype.kind not in "iu":
                    return values
                return np.where(stored == int(null), np.nan, values)
            except Exception as error:  # see astropy_units
                raise problem(self._path, f"is damaged FITS ({error})", AGAIN) from None


def _as_numbers(bits: NDArray[np.bool_]) -> NDArray[Any]:
    """(row,) numbers of which each row gives the bits, the highest first (``16X``)."""
    weights = 2 ** np.arange(bits.shape[1], dtype=np.int64)[::-1]
    return np.asarray(bits @ weights)


def astropy_units(path: Path, raw: bytes) -> list[Hdu]:
    """Read a file that is not plain with astropy, silently.

    Raises
    ------
    ReadError
        When astropy cannot read it either.
    """
    from astropy.io import fits  # noqa: PLC0415  slow to import, seldom needed

    _check_counts(path, raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(raw), memmap=False) as units:
                steps = [_step(unit.header) for unit in units]  # the cards go as data are read
                if any(unit.verify_datasum() == 0 for unit in units):
                    raise other_data(path)
                return [
                    _AstropyHdu(path, unit.header, unit.data, step)
                    for unit, step in zip(units, steps, strict=True)
                ]
        except ReadError:
            raise
        except Exception as error:
            # What a damaged file makes astropy raise has no bounds.
            raise problem(path, f"is damaged FITS ({error})", AGAIN) from None


def _step(header: Mapping[str, Any]) -> float:
    """Return the step in which the numbers of an image are packed."""
    step = header.get("BSCALE")
    return float(step) if isinstance(step, (int, float)) else 1.0


def _check_counts(path: Path, raw: bytes) -> None:
    """Refuse a header that counts to no end: astropy would follow it there."""
    for found in _COUNTING.finditer(raw):
        key, number, value = found[1].decode(), found[2].decode(), int(found[3])
        is_axes = key == "TFIELDS" or (key == "NAXIS" and not number)
        if found.start() % CARD == 0 and not 0 <= value <= (MOST_FIELDS if is_axes else LARGEST):
            raise problem(path, f"is damaged FITS ({key}{number} = {value})", AGAIN)
