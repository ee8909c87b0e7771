"""The bytes of one product: header, COADD table as LAMOST's, results, masks, epochs.

::

    PRIMARY   no data; LAMOST's cards, provenance as HISTORY
    COADD     one row: FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK, NORMALIZATION (as since DR8)
    RESULTS   one row: every column of the table of candidates, with units and UCDs
    EPOCHS    of a co-added star: one row per spectrum that went in
    MASKS     the bits of ANDMASK and ORMASK in words

Every unit carries CHECKSUM and DATASUM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy import units
from numpy.typing import NDArray

from msfa_core import __version__
from msfa_core.columns import Column
from msfa_core.constants import SPEED_OF_LIGHT
from msfa_core.spectra.coadd import MASK_WORDS, Coadd
from msfa_core.spectra.fits_units import (
    TEXT,
    Card,
    Field,
    Unit,
    big_endian,
    header_size,
    history,
    table_cards,
)
from msfa_core.spectra.spectrum import Spectrum
from msfa_core.spectra.writers import coadd_arrays, coadd_fields, lamost_cards
from msfa_core.tables.export import FITS_NO_FLAG, FITS_NO_INTEGER, choose_columns
from msfa_core.tables.mrt_writer import to_ascii

FORMAT: Final = 1  # counts the form of the files: those of another are written again
KEY_CARD: Final = "MSFAKEY"
SIZE_CARD: Final = "MSFASIZE"
BAD: Final = 1  # and-mask of a single spectrum
WARNING: Final = 2  # its or-mask
SINGLE_WORDS: Final = {
    "ANDMASK": {BAD: "bad: and-mask of the pipeline, or no inverse variance"},
    "ORMASK": {WARNING: "warning: or-mask of the pipeline, in some exposure"},
}
COADD_WORDS: Final = {"ANDMASK": {1: MASK_WORDS[1]}, "ORMASK": dict(MASK_WORDS)}
_UNITS_OF_SINGLE: Final = 4
_KEY_DIGITS: Final = 32


class Results:
    """The table of candidates in the form in which a row of it lies in a product.

    Parameters
    ----------
    table : (n,) DataFrame
    widths : dict of str to int
        Of text columns, as from `text_widths`.
    """

    def __init__(self, table: pd.DataFrame, widths: Mapping[str, int]) -> None:
        columns = choose_columns(table, "full")
        parts = [
            _encoded(column, table[column.name], widths.get(column.name, 1)) for column in columns
        ]
        names = [f"c{i}" for i in range(len(parts))]
        layout = np.dtype(
            [(name, values.dtype) for name, (_, values) in zip(names, parts, strict=True)]
        )
        self.rows: NDArray[np.void] = np.zeros(len(table), dtype=layout)
        for name, (_, values) in zip(names, parts, strict=True):
            self.rows[name] = values
        fields = [field for field, _ in parts]
        self.unit = Unit(table_cards("RESULTS", fields, 1, layout.itemsize))


def text_widths(table: pd.DataFrame) -> dict[str, int]:
    """Return how many characters each text column needs."""
    return {
        column.name: max(
            1, *(len(to_ascii(word)) for word in table[column.name].dropna().astype("str").unique())
        )
        for column in choose_columns(table, "full")
        if column.kind == "str" and table[column.name].notna().any()
    }


def _encoded(column: Column, values: pd.Series, width: int) -> tuple[Field, NDArray[Any]]:
    """Return how a column is declared, and its values in the byte order of FITS."""
    unit, text = _unit(column.unit), column.description
    text += f" [{column.unit}]" if column.unit and not unit else ""
    if column.kind == "bool":
        text += " (1 = yes, 0 = no)"
    said = (unit, column.ucd, to_ascii(text)[:TEXT])
    if column.kind == "int":
        numbers = values.astype("Int64").fillna(FITS_NO_INTEGER).to_numpy(np.int64)
        return Field(column.name, "K", *said, FITS_NO_INTEGER), numbers.astype(">i8")
    if column.kind == "bool":
        flags = values.astype("boolean").astype("Int16").fillna(FITS_NO_FLAG).to_numpy(np.int16)
        return Field(column.name, "I", *said, FITS_NO_FLAG), flags.astype(">i2")
    if column.kind == "float":
        return Field(column.name, "D", *said), values.to_numpy(np.float64, na_value=np.nan).astype(
            ">f8"
        )
    words = [to_ascii(value) if isinstance(value, str) else "" for value in values]
    return Field(column.name, f"{width}A", *said), np.array(words, dtype=f"S{width}")


@lru_cache(maxsize=64)
def _unit(unit: str) -> str:
    """Return a unit as FITS writes it; empty where FITS has none (dex, percent)."""
    try:
        return str(units.Unit(unit).to_string("fits")) if unit else ""
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What every product of a survey says of its making.

    Attributes
    ----------
    survey : str
        Name of its folder.
    is_simulated : bool
    said : tuple of str
        Steps, with versions, weights and template checksums; settings.
    """

    survey: str
    is_simulated: bool
    said: tuple[str, ...]

    @classmethod
    def of(cls, survey: str, is_simulated: bool, header: Mapping[str, str]) -> Provenance:
        """Return that of a survey whose export header is given."""
        kept = (key for key in header if key.startswith("step ") or key == "settings")
        return cls(survey, is_simulated, tuple(f"{key}: {header[key]}" for key in kept))

    def digest(self) -> bytes:
        """Return a digest of all it says."""
        text = "\n".join(
            [__version__, str(FORMAT), self.survey, str(self.is_simulated), *self.said]
        )
        return hashlib.sha256(text.encode()).digest()

    def cards(self) -> list[Card]:
        """Return the cards that say it."""
        cards: list[Card] = [
            ("CREATOR", f"msfa-bhb {__version__}", "software that wrote this file"),
            ("SURVEY", to_ascii(self.survey)[:TEXT], "survey it was made from"),
            ("SIMULATE", self.is_simulated, "T: a simulated star, it does not exist"),
        ]
        return cards + [card for text in self.said for card in history(to_ascii(text))]


def key_of(provenance: bytes, row: bytes, *more: object) -> str:
    """Return a digest of everything that a product depends on."""
    digest = hashlib.sha256(provenance)
    digest.update(row)
    digest.update(repr(more).encode())
    return digest.hexdigest()[:_KEY_DIGITS]


def single_content(
    spectrum: Spectrum,
    path: Path,
    results: Results,
    row: int,
    provenance: Provenance,
    key: str,
    uid: str,
) -> bytes:
    """Return the bytes of the product of one spectrum.

    Parameters
    ----------
    spectrum : Spectrum
        As the archive keeps it: ``mask``, and ``soft_mask`` in its ``meta``.
    path : Path
        Where it will lie.
    results : Results
    row : int
        Of the results.
    provenance : Provenance
    key : str
        As from `key_of`.
    uid : str
        Star; empty when not known.
    """
    soft = spectrum.meta.get("soft_mask", np.zeros(len(spectrum.flux), dtype=bool))
    masks = {"andmask": np.where(spectrum.mask, BAD, 0), "ormask": np.where(soft, WARNING, 0)}
    spectrum.meta.update(masks)
    cards: list[Card] = [("UID", uid or "unknown", "star")]
    return _content(spectrum, path, cards, provenance, key, results, row, [], SINGLE_WORDS)


def coadd_content(
    coadd: Coadd,
    path: Path,
    results: Results,
    row: int,
    provenance: Provenance,
    key: str,
    uid: str,
) -> bytes:
    """Return the bytes of the product of a co-added star; parameters as `single_content`.

    The number of the spectrum in the header is made from the name of the file: a co-added
    spectrum is none of those that went in.
    """
    cards: list[Card] = [
        ("UID", uid, "star"),
        ("COADDED", True, "epochs of a star added up, at rest"),
        ("NEPOCHS", int(coadd.used.sum()), "spectra that went in"),
        ("REFOBS", int(coadd.spectrum.obsid), "OBSID of the flux scale and of RESULTS"),
    ]
    epochs = _epochs_unit(coadd)
    return _content(
        coadd.spectrum, path, cards, provenance, key, results, row, [epochs], COADD_WORDS
    )


def _content(
    spectrum: Spectrum,
    path: Path,
    own: Sequence[Card],
    provenance: Provenance,
    key: str,
    results: Results,
    row: int,
    more: Sequence[bytes],
    words: Mapping[str, Mapping[int, str]],
) -> bytes:
    arrays = coadd_arrays(spectrum)
    coadd = _coadd_unit(tuple((name, a.dtype.str, len(a)) for name, a in arrays.items()))
    body = [
        coadd.content(b"".join(big_endian(array) for array in arrays.values())),
        results.unit.content(results.rows[row].tobytes()),
        *more,
        _masks_unit(words is COADD_WORDS),
    ]
    is_coadd = words is COADD_WORDS
    said = [card for card in lamost_cards(spectrum, path) if not (is_coadd and card[0] == "OBSID")]
    cards: list[Card] = [
        ("SIMPLE", True, "FITS standard"),
        ("BITPIX", 16, ""),
        ("NAXIS", 0, "no data here, see the extensions"),
        ("EXTEND", True, ""),
        *said,
        ("N_EXTEN", _UNITS_OF_SINGLE + len(more) - 1, "number of extensions"),
        ("NORM", 0, "1 if there exists a normalized spectrum"),
        *own,
        (KEY_CARD, key, "digest of all this file depends on"),
    ]
    more_cards = _provenance_cards(provenance)
    size = header_size(len(cards) + 1 + len(more_cards)) + sum(map(len, body))
    cards.append((SIZE_CARD, size, "bytes of this file"))
    return b"".join([Unit([*cards, *more_cards]).content(), *body])


@lru_cache(maxsize=8)
def _provenance_cards(provenance: Provenance) -> tuple[Card, ...]:
    return tuple(provenance.cards())


@lru_cache(maxsize=256)
def _coadd_unit(layout: tuple[tuple[str, str, int], ...]) -> Unit:
    """Return the header of a COADD table of these columns."""
    columns = {name: np.zeros(n, dtype=dtype) for name, dtype, n in layout}
    row_bytes = sum(array.nbytes for array in columns.values())
    return Unit(table_cards("COADD", coadd_fields(columns), 1, row_bytes))


@lru_cache(maxsize=2)
def _masks_unit(is_coadd: bool) -> bytes:
    """Return the table of what the bits of the masks mean."""
    words = COADD_WORDS if is_coadd else SINGLE_WORDS
    rows = [(mask, bit, text) for mask, bits in words.items() for bit, text in bits.items()]
    table = np.zeros(len(rows), dtype=[("mask", "S7"), ("value", ">i4"), ("meaning", f"S{TEXT}")])
    table["mask"] = [mask.encode() for mask, _, _ in rows]
    table["value"] = [bit for _, bit, _ in rows]
    table["meaning"] = [to_ascii(text).encode() for _, _, text in rows]
    fields = [
        Field("MASK", "7A", text="Column of COADD"),
        Field("VALUE", "J", text="Value of the bit"),
        Field("MEANING", f"{TEXT}A", text="What it means when set"),
    ]
    return Unit(table_cards("MASKS", fields, len(table), table.itemsize)).content(table.tobytes())


def _epochs_unit(coadd: Coadd) -> bytes:
    """Return the table of the spectra that went into a co-added one."""
    table = np.zeros(
        len(coadd.obsid),
        dtype=[
            ("obsid", ">i8"),
            ("used", ">i2"),
            ("z", ">f8"),
            ("rv", ">f8"),
            ("scale", ">f8"),
            ("n_rejected", ">i4"),
            ("chi2", ">f8"),
        ],
    )
    table["obsid"], table["used"], table["z"] = coadd.obsid, coadd.used, coadd.z
    table["rv"], table["scale"] = SPEED_OF_LIGHT * coadd.z, coadd.scale
    table["n_rejected"], table["chi2"] = coadd.n_rejected, coadd.chi2
    fields = [
        Field("OBSID", "K", "", "meta.id", "Observation identifier"),
        Field("USED", "I", "", "meta.code", "1 = it went in"),
        Field("Z", "D", "", "src.redshift", "Doppler shift that was taken out"),
        Field("RV", "D", "km/s", "spect.dopplerVeloc.opt", "The same as a velocity"),
        Field("SCALE", "D", "", "arith.factor", "Response relative to that of REFOBS"),
        Field("N_REJECTED", "J", "", "meta.number", "Pixels left out that disagree with others"),
        Field("CHI2", "D", "", "stat.fit.chi2", "Mean squared deviation in units of the error"),
    ]
    return Unit(table_cards("EPOCHS", fields, len(table), table.itemsize)).content(table.tobytes())
