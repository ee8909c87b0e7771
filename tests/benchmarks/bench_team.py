"""A team at once: 20 reviewers on PostgreSQL, 5 on SQLite, through the page's own door.

``python tests/benchmarks/bench_team.py`` prints how long a verdict takes to be on disk, beside
what this disk's fsync takes, and how long a page of a queue of 600,000 stars.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from local_postgres import own_server  # noqa: E402
from small_survey import make_small_survey  # noqa: E402

from dashboard.state.door import Door  # noqa: E402
from msfa_core.survey.folder import Survey  # noqa: E402
from msfa_core.vetting.decision import Decision  # noqa: E402
from msfa_core.vetting.store import Store  # noqa: E402
from msfa_core.vetting.transfer import check  # noqa: E402

N_VERDICTS = int(os.environ.get("MSFA_VERDICTS", "200"))
SHOWN = {"row": {f"quantity_{k}": k / 7 for k in range(18)}, "blind": False, "filters": ["all"]}


def fsync_ms(folder, n=200):
    """Median and 95th percentile of what the disk takes to keep a page of a file [ms]."""
    took = []
    with (folder / "probe").open("wb") as file:
        for _ in range(n):
            file.write(os.urandom(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return 1e3 * np.percentile(took, [50, 95])


def crowd(survey, url, n_reviewers, pause):
    """Let reviewers decide at once, each in their thread; return seconds per verdict.

    A pause between two verdicts is what a quick reviewer takes to look; none is a stress.
    """
    table = survey.table()
    obsids = table["obsid"].tolist()
    took, store = [], Store(url)
    guard = threading.Lock()

    def work(name):
        door = Door(survey, lambda: store)
        own = np.random.default_rng(int(name[1:]))
        for k in range(N_VERDICTS):
            time.sleep(float(own.exponential(pause)) if pause else 0.0)
            said = Decision(
                obsids[k % len(obsids)], "", "accept", name, comment=str(k), shown=SHOWN
            )
            began = time.perf_counter()
            door.keep(said)
            with guard:
                took.append(time.perf_counter() - began)

    names = [f"r{k}" for k in range(n_reviewers)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = store.decisions()[::-1]
    assert len(stored) == n_reviewers * N_VERDICTS
    for name in names:  # each one's order is kept
        own = [int(one.comment) for one in stored if one.reviewer == name]
        assert own == list(range(N_VERDICTS))
    assert check(store, table) == []
    store.close()
    return np.array(took)


def told(name, took, goal):
    p50, p95, worst = 1e3 * np.percentile(took, [50, 95, 100])
    print(f"{name:46s} p50 {p50:6.1f}  p95 {p95:6.1f}  worst {worst:6.1f} ms   goal p95 {goal}")


def pages(n=600_000):
    """Time a page of 50 of a queue of many stars, by every order and some filters."""
    import pandas as pd

    from msfa_core.columns import conform
    from msfa_core.config import Settings
    from msfa_core.vetting.filters import ORDERS, preset_filters

    rng = np.random.default_rng(1)
    table = conform(pd.DataFrame({"obsid": np.arange(n, dtype=np.int64)}))
    for column in ("p_bhb", "p_class_bhb", "snr_g", "novelty", "d02_hdelta", "ra"):
        table[column] = rng.random(n)
    table["is_candidate"] = rng.random(n) < 0.05
    table["in_search_domain"] = True
    presets = preset_filters(Settings())
    took, arranged = [], []
    for order in ORDERS.values():
        for name in ("candidates", "in domain", "all"):
            began = time.perf_counter()
            rows = np.flatnonzero(presets[name].predicate(table))
            queue = table["obsid"].to_numpy()[rows[np.argsort(order.key(table.iloc[rows]))]]
            arranged.append(time.perf_counter() - began)
            for start in rng.integers(0, max(len(queue) - 50, 1), 20):
                began = time.perf_counter()
                page = table.iloc[queue[start : start + 50]]
                page[["obsid", "p_bhb", "snr_g", "predicted_class", "verdict"]].to_dict("list")
                took.append(time.perf_counter() - began)
    told(f"page of 50 of {n:,} stars", np.array(took), "5 ms")
    told("a queue put in another order or filter", np.array(arranged), "(once per choice)")


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="msfa-team-"))
    survey = Survey(make_small_survey(folder / "survey").path)
    p50, p95 = fsync_ms(folder)
    print(f"fsync of this disk: p50 {p50:.2f} ms, p95 {p95:.2f} ms")
    postgres = own_server()
    try:
        told(
            "PostgreSQL, 20 reviewers, a verdict each 0.5 s",
            crowd(survey, postgres.url, 20, 0.5),
            "25 ms",
        )
    finally:
        postgres.remove()
    path = folder / "vetting.sqlite"
    told(
        "SQLite, 5 reviewers, a verdict each 0.25 s",
        crowd(survey, path, 5, 0.25),
        f"{2 * p95:.1f} ms (2 fsync)",
    )
    pages()
    shutil.rmtree(folder)
