"""Stars of the literature that lie behind a survey's own in the planes: a table the user gives."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np

from msfa_core.errors import CatalogueError
from msfa_core.tables.door import Use, open_table
from msfa_core.typing import FloatArray

# House name of a quantity, and its names in the literature (lower case), the first found counts
QUANTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "d02_hdelta": ("d02_hdelta", "hdelta_d02", "d0.2"),  # d0.2, fm: Hδ in Xue et al. (2011)
    "fm_hdelta": ("fm_hdelta", "fm"),
    "d02_hgamma": ("d02_hgamma", "hgamma_d02"),
    "fm_hgamma": ("fm_hgamma",),
    "width_hgamma": ("width_hgamma", "bhg"),  # bHg, cHg: Xue et al. (2011)
    "shape_hgamma": ("shape_hgamma", "chg"),
    "kp": ("kp",),
    "bp_rp": ("bp_rp",),
    "abs_mag_g": ("abs_mag_g",),
    "teff": ("teff", "teff_k"),
    "logg": ("logg", "logg_cgs"),
    "feh": ("feh",),
}
# Colour and magnitude without dust, as tables of clusters have them: both of them or neither
DEREDDENED: Final[Mapping[str, tuple[str, ...]]] = {
    "bp_rp": ("bp_rp0", "bp_rp_0"),
    "abs_mag_g": ("abs_mag_g0", "m_g0", "mg0", "mg_0"),
}
_USE: Final = Use(
    "a table of reference stars",
    {
        **QUANTITIES,
        **{f"{name}_without_dust": names for name, names in DEREDDENED.items()},
    },
    tuple(combinations(QUANTITIES, 2)),
    keep_others=True,
)
_NEEDED: Final = 2  # quantities make a plane


@dataclass(frozen=True, slots=True)
class ReferenceStars:
    """Stars to compare with.

    Attributes
    ----------
    name : str
        Name of the file without its ending, for the legend.
    values : dict of str to (n,) array
        Quantities by their house names, in house units; NaN where the table has none.
    """

    name: str
    values: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def places(self, x: str, y: str) -> tuple[FloatArray, FloatArray]:
        """Return the stars that have a place in a plane; none where a quantity is unknown."""
        if not {x, y} <= set(self.values):
            return np.empty(0), np.empty(0)
        across, up = self.values[x], self.values[y]
        placed = np.isfinite(across) & np.isfinite(up)
        return across[placed], up[placed]


def reference_stars(path: str | Path) -> ReferenceStars:
    """Read a table of stars to compare with, such as the data of Xue et al. (2011).

    Columns are known by the names of this catalogue (``d02_hdelta``, ``fm_hdelta``, ``kp``,
    ``bp_rp`` …: an exported table can be given) and by those of Xue et al. (2011): ``D0.2`` and
    ``fm`` of Hδ, ``bHg`` and ``cHg`` of Hγ. Where a table has colour and absolute magnitude
    without dust (``bp_rp0`` with ``M_G0`` or ``abs_mag_g0``: members of clusters), these are taken.
    A table that has not changed is read once.

    Parameters
    ----------
    path : str or Path
        As for `read_table`; CDS data need their ReadMe beside them.

    Returns
    -------
    ReferenceStars

    Raises
    ------
    CatalogueError
        When the table cannot be read, or has no two quantities that make a plane.
    """
    path = Path(path)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _read(path.absolute(), stamp)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _stamp: int) -> ReferenceStars:
    opened = open_table(path, _USE)
    clean = {name: opened.has(f"{name}_without_dust") for name in DEREDDENED}
    values = {}
    for name in QUANTITIES:
        found = f"{name}_without_dust" if name in clean and all(clean.values()) else name
        if opened.has(found):
            values[name] = opened.table[found].to_numpy(dtype=np.float64, na_value=np.nan)
    table = opened.table
    if len(values) < _NEEDED or not len(table):
        known = ", ".join(sorted({name for names in QUANTITIES.values() for name in names}))
        raise CatalogueError(
            f"{path}: no reference stars for any plane (columns known: {known}; it has "
            f"{opened.has_words()}); "
            f"name another table.{opened.reasons()}"
        )
    return ReferenceStars(path.stem, values)
