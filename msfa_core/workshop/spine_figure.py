"""The picture of the spine, drawn from its steps: what each looks at, and what it needs.

``python -m msfa_core.workshop.spine_figure OUT.png`` draws ``data/figures/spine``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from msfa_core.columns import columns_of
from msfa_core.spine.run import SPINE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _GAP, _HEIGHT = 1.5, 0.45, 0.9  # of a box, in units of the drawing
_SPECTRA: Final = "#0072B2"  # Okabe–Ito
_TABLE: Final = "#D55E00"
_SHOWN: Final = 2  # columns named in a box
_BESIDE: Final = {  # where the columns of the step of that name do not say it
    "classify": ("p_class_bhb …", "p_bhb"),
    "know": ("known_in",),
    "derive": ("is_candidate", "in_bhb_region"),
    "export": ("MRT, FITS", "VOTable, CSV"),
}


def draw() -> Figure:
    """Draw the steps in their order, with an arc from each to whoever needs its results."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (only for drawing)
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: PLC0415

    figure = Figure(figsize=(13.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    names = ["ingest", *(step.name for step in SPINE), "derive", "vet", "export"]
    kinds = {step.name: _SPECTRA if step.looks_at_spectra else _TABLE for step in SPINE}
    centre = {name: place * (_WIDTH + _GAP) + _WIDTH / 2 for place, name in enumerate(names)}
    for name in names:
        colour = kinds.get(name, "#555555")
        box = FancyBboxPatch(
            (centre[name] - _WIDTH / 2, 0), _WIDTH, _HEIGHT, boxstyle="round,pad=0.04",
            facecolor=colour if name in kinds else "white", edgecolor=colour, alpha=0.92,
        )  # fmt: skip
        axes.add_patch(box)
        ink = "white" if name in kinds else "black"
        axes.text(
            centre[name], 0.62, name, ha="center", va="center", color=ink, weight="bold", size=11
        )
        words = _BESIDE.get(name) or [column.name for column in columns_of(name)][:_SHOWN]
        axes.text(centre[name], 0.25, "\n".join(words), ha="center", va="center", color=ink, size=6)
    for one, other in zip(names[:-1], names[1:], strict=True):
        ends = (centre[one] + _WIDTH / 2, 0.45), (centre[other] - _WIDTH / 2, 0.45)
        axes.add_patch(FancyArrowPatch(*ends, arrowstyle="->", mutation_scale=12, color="#555555"))
    for step in SPINE:
        for needed in step.needs:
            ends = (centre[needed], _HEIGHT + 0.05), (centre[step.name], _HEIGHT + 0.05)
            bend = 0.36 / np.sqrt((ends[1][0] - ends[0][0]) / (_WIDTH + _GAP))  # long ones flatter
            axes.add_patch(
                FancyArrowPatch(
                    *ends, connectionstyle=f"arc3,rad={-bend}", arrowstyle="->", mutation_scale=12,
                    color="#009E73", linewidth=1.4,
                )
            )  # fmt: skip
    axes.plot([], [], "s", color=_SPECTRA, label="looks at spectra, shard by shard, in any process")
    axes.plot([], [], "s", color=_TABLE, label="looks at the table as a whole")
    axes.plot([], [], color="#009E73", label="needs the results of")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.32), ncols=3, frameon=False, fontsize=9)
    axes.set(xlim=(-0.2, centre[names[-1]] + _WIDTH / 2 + 0.2), ylim=(-0.35, 2.1))
    axes.set_axis_off()
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw it into a file."""
    parser = argparse.ArgumentParser(prog="spine_figure", description=__doc__)
    parser.add_argument("out", type=Path)
    draw().savefig(parser.parse_args(arguments).out, dpi=110)


if __name__ == "__main__":
    main()
