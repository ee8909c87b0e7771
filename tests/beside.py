"""The table of ``make bench``: what others need for the same work, and what we need."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".benchmarks"  # a file of each run
PEERS = Path(sys.prefix) / "peers"  # what `make bench-peers` installs, and nothing else sees
MISSING = "not installed: make bench-peers"
HEADINGS = ("task", "peer", "its rate", "ours", "ratio", "goal", "limit", "share")
NAMED = ("numpy", "scipy", "torch", "numba", "astropy", "pandas")


@dataclass(frozen=True)
class Row:
    """One piece of work, done by a peer and by us in the same run.

    Attributes
    ----------
    task, peer, unit : str
        The unit is of a rate, or ``s`` or ``ms`` where the time is what counts.
    theirs, ours, limit : float or None
        In the unit; theirs None where the peer is not there.
    goal : float or None
        The ratio to reach.
    note : str
        Stands for their rate where there is none.
    """

    task: str
    peer: str
    theirs: float | None
    ours: float | None
    unit: str
    goal: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self):
        """How many times our speed is theirs."""
        return _times(self.theirs, self.ours, self.unit)

    @property
    def share(self):
        """Our part of what the machine could do at most."""
        return _times(self.limit, self.ours, self.unit)

    @property
    def is_missed(self):
        """Whether the goal is not reached; False where there is none, or no peer to compare."""
        return self.goal is not None and self.ratio is not None and self.ratio < self.goal

    def cells(self):
        """Return its words, heading by heading."""
        goal = _figure(self.goal, "×")
        return (
            self.task, self.peer, _figure(self.theirs, self.unit, self.note),
            _figure(self.ours, self.unit), _figure(self.ratio, "×"),
            f"{goal}, missed" if self.is_missed else goal,
            _figure(self.limit, self.unit),
            "" if self.share is None else f"{100 * self.share:.0f} %",
        )  # fmt: skip


def _times(theirs, ours, unit):
    if not theirs or not ours:
        return None
    return theirs / ours if unit in ("s", "ms") else ours / theirs


def _figure(value, unit, otherwise=""):
    if value is None:
        return otherwise
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".replace(" ×", "×")


def has_peer(module):
    """Whether a peer is there: in the environment, or where `make bench-peers` puts it."""
    if PEERS.is_dir() and str(PEERS) not in sys.path:
        sys.path.append(str(PEERS))  # at the end: what both have is ours
    return find_spec(module) is not None


def table(rows):
    """Return the rows as a table that reads as well in a terminal as in Markdown."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine():
    """Return date, processor and versions."""
    model = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ] if Path("/proc/cpuinfo").exists() else []  # fmt: skip
    return {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in NAMED},
    }


def keep(rows):
    """Write a run as JSON; return its path."""
    about = machine()
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"bench-{about['date'][:16].replace(':', '')}.json"
    told = [asdict(row) | {"ratio": row.ratio, "share": row.share} for row in rows]
    path.write_text(json.dumps({"machine": about, "rows": told}, indent=1, ensure_ascii=False))
    return path
