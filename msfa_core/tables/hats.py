"""A catalogue in HATS format: a folder of Parquet files by place on the sky (HEALPix, nested).

Only the partitions where the survey has stars are read, and of these only rows near them, so
that a survey of any size needs no full read of a catalogue of a billion rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from msfa_core.errors import CatalogueError
from msfa_core.tables.door import Use, understand
from msfa_core.tables.formats import arrow_table
from msfa_core.tables.names import recognise
from msfa_core.tables.raw import RawTable
from msfa_core.tables.report import OutsideTable
from msfa_core.tables.text import problem
from msfa_core.typing import BoolArray, FloatArray, IntArray

_PARTITION: Final = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)")
_SAYS_SO: Final = ("hats.properties", "properties", "partition_info.csv", "collection.properties")
_NO_OBJECTS: Final = ("margin", "association", "index", "map")  # dataproduct_type
_NEAR_ORDER: Final = 12  # cells of 52 arcsec, and their neighbours: what is kept of a partition
_READ_AROUND: Final = 1 / 60  # deg around a star, where a partition may end


def is_hats(path: str | Path) -> bool:
    """Tell whether a folder is a catalogue in HATS format."""
    path = Path(path)
    return path.is_dir() and any((path / name).exists() for name in _SAYS_SO)


def open_hats(path: str | Path, use: Use, ra: FloatArray, dec: FloatArray) -> OutsideTable:
    """Read the rows of a HATS catalogue that lie near stars.

    Parameters
    ----------
    path : str or Path
    use : Use
    ra, dec : (n,) arrays [deg]
        Stars; those without a position are passed over.

    Returns
    -------
    OutsideTable

    Raises
    ------
    CatalogueError
        When it holds no partitions, or has no positions.
    """
    path = Path(path)
    main = _main_table(path)
    partitions = _partitions(main)
    known = np.isfinite(ra) & np.isfinite(dec)
    ra, dec = ra[known], dec[known]
    _check_whole(main, partitions, ra, dec)
    wanted = _wanted(partitions, ra, dec)
    first = wanted[0] if wanted else next(iter(partitions.values()))[0]
    schema = _schema(path, first)
    found = recognise(schema.names, use.vocabulary, use.beside).found
    if not {"ra", "dec"} <= set(found):
        raise problem(path, f"has no positions ({', '.join(schema.names[:8])} …)", "name another")
    columns = [name for name in schema.names if name in {one.name for one in found.values()}]
    place = found["ra"].name, found["dec"].name
    near = np.unique(_with_neighbours(_cells(_NEAR_ORDER, ra, dec))) if len(ra) else np.empty(0)
    parts = []
    for file in wanted:
        try:
            table = pa.parquet.read_table(file, columns=columns, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise problem(path, f"{file.name} cannot be read ({error})", "copy it again") from None
        here = [table.column(name).to_numpy().astype(np.float64) for name in place]
        inside: BoolArray = np.isin(_cells(_NEAR_ORDER, here[0], here[1]), near)
        parts.append(table.filter(pa.array(inside)))
    empty = schema.empty_table().select(columns)
    table = pa.concat_tables(parts, promote_options="permissive") if parts else empty
    raw = arrow_table(table)
    opened = understand(RawTable("", raw.columns, raw.left_out), use, str(path))
    digest = hashlib.sha256("\n".join(str(one) for one in partitions).encode()).hexdigest()[:16]
    n_files = sum(len(files) for files in partitions.values())
    note = f"HATS: {len(wanted):,} of {n_files:,} partitions read"
    return replace(
        opened,
        name=path.name,
        path=str(path.absolute()),
        kind="HATS",
        checksum=digest,
        notes=(*opened.notes, note),
    )


def _schema(path: Path, file: Path) -> pa.Schema:
    try:
        return pa.parquet.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise problem(path, f"{file.name} cannot be read ({error})", "copy it again") from None


def _properties(path: Path) -> dict[str, str]:
    """Return what the files of properties of a catalogue say."""
    said: dict[str, str] = {}
    for name in ("collection.properties", "properties", "hats.properties"):
        file = path / name
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        pairs = (line.partition("=") for line in lines if not line.startswith("#"))
        said |= {key.strip(): value.strip() for key, _, value in pairs}
    return said


def _main_table(path: Path) -> Path:
    """Return the folder of the objects: a collection has margins and indexes beside it.

    Raises
    ------
    CatalogueError
        When there is none, or the folder holds no objects.
    """
    name = _properties(path).get("hats_primary_table_url", "")
    main = path / name
    if not main.is_dir():
        raise problem(path, f"its table {name} is not there", "copy the whole collection")
    kind = _properties(main).get("dataproduct_type", "")
    if kind in _NO_OBJECTS:
        raise problem(path, f"is no catalogue of objects but its {kind}", "name the catalogue")
    return main


def _check_whole(
    path: Path, partitions: dict[tuple[int, int], list[Path]], ra: FloatArray, dec: FloatArray
) -> None:
    """Refuse a catalogue that lists partitions with stars of the survey and does not have them."""
    listed = path / "partition_info.csv"
    if not listed.is_file() or not len(ra):
        return
    table = pd.read_csv(listed, skipinitialspace=True)
    if not {"Norder", "Npix"} <= set(table.columns):
        return
    lacking = [
        f"Norder={order}/…/Npix={pixel}"
        for order, some in table.groupby("Norder")["Npix"]
        for pixel in sorted(set(some) & set(_cells(int(order), ra, dec).tolist()))
        if (order, pixel) not in partitions
    ]
    if lacking:
        which = f"{len(lacking):,} of its partitions in which the survey has stars ({lacking[0]}"
        raise problem(path, f"lacks {which}{', …' if lacking[1:] else ''})", "copy them, too")


def _partitions(path: Path) -> dict[tuple[int, int], list[Path]]:
    """Return the files of a catalogue by order and pixel."""
    found: dict[tuple[int, int], list[Path]] = {}
    for file in sorted(path.rglob("*.parquet")):
        match = _PARTITION.search(file.relative_to(path).as_posix())
        if match:
            found.setdefault((int(match[1]), int(match[2])), []).append(file)
    if not found:
        raise CatalogueError(
            f"{path}: holds no partitions (dataset/Norder=…/Dir=…/Npix=….parquet); name the folder "
            "of one catalogue in HATS format."
        )
    return found


def _wanted(
    partitions: dict[tuple[int, int], list[Path]], ra: FloatArray, dec: FloatArray
) -> list[Path]:
    """Return the partitions in or near which there are stars."""
    wanted: list[Path] = []
    wide = _READ_AROUND / np.maximum(np.cos(np.radians(dec)), 0.01)
    around: Sequence[tuple[int, int]] = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    for order in sorted({key[0] for key in partitions}):
        pixels = {
            int(pixel)
            for x, y in around
            for pixel in np.unique(
                _cells(order, (ra + x * wide) % 360.0, np.clip(dec + y * _READ_AROUND, -90, 90))
            )
        }
        for (own, pixel), files in partitions.items():
            if own == order and pixel in pixels:
                wanted += files
    return wanted


def _cells(order: int, ra: FloatArray, dec: FloatArray) -> IntArray:
    """(n,) nested HEALPix numbers; −1 where there is no position."""
    import astropy.units as u  # noqa: PLC0415  slow to import
    from astropy_healpix import lonlat_to_healpix  # noqa: PLC0415

    known = np.isfinite(ra) & np.isfinite(dec)
    cells = np.full(len(ra), -1, dtype=np.int64)
    if known.any():
        cells[known] = lonlat_to_healpix(
            ra[known] * u.deg, dec[known] * u.deg, 2**order, order="nested"
        )
    return cells


def _with_neighbours(cells: IntArray) -> IntArray:
    from astropy_healpix import neighbours  # noqa: PLC0415

    unique = np.unique(cells)
    around = neighbours(unique, 2**_NEAR_ORDER, order="nested").ravel()
    return np.concatenate([unique, around[around >= 0]]).astype(np.int64)
