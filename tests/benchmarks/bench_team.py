"""A team at once: 20 reviewers on PostgreSQL, 5 on SQLite, through the page's own door.

``python tests/benchmarks/bench_team.py`` prints how long a verdict takes to be on disk, beside
what fsync takes at that moment, and how long a page of a queue of 600,000 stars.
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


class Disk(threading.Thread):
    """Ask the disk to keep a page of a file, now and then: the limit, under the same load."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.path, self.took, self.is_over = folder / "probe", [], threading.Event()

    def run(self):
        page = os.urandom(4096)
        with self.path.open("wb") as file:
            while not self.is_over.wait(0.1):
                file.write(page)
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                self.took.append(time.perf_counter() - began)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


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
    """Time a page of 50 of the app's queue of many stars, by every order and some filters."""
    from types import SimpleNamespace

    import pandas as pd

    from dashboard.state.data import in_one_piece
    from dashboard.views.queue_words import PAGE, queue_page
    from msfa_core.columns import conform
    from msfa_core.config import Settings
    from msfa_core.vetting.filters import ORDERS, preset_filters

    rng = np.random.default_rng(1)
    table = conform(pd.DataFrame({"obsid": np.arange(n, dtype=np.int64)}))
    for column in ("p_bhb", "p_class_bhb", "snr_g", "novelty", "d02_hdelta", "ra"):
        table[column] = rng.random(n)
    classes = pd.array(rng.choice(["A", "BHB"], n), dtype=table["predicted_class"].dtype)
    table["predicted_class"] = classes
    table["is_candidate"] = rng.random(n) < 0.05
    table["in_search_domain"] = True
    table = in_one_piece(table)
    index = pd.Index(table["obsid"].to_numpy())
    state = SimpleNamespace(  # what the page asks of its session
        data=SimpleNamespace(rows=index.get_indexer),
        queue=SimpleNamespace(obsids=index.to_numpy()),
        verdicts=SimpleNamespace(table=table, mine=np.full(n, "", dtype=object), blind=False),
    )
    presets = preset_filters(Settings())
    took, arranged = [], []
    for order in ORDERS.values():
        for name in ("candidates", "in domain", "all"):
            began = time.perf_counter()
            rows = np.flatnonzero(presets[name].predicate(table))
            obsids = table["obsid"].to_numpy()[rows[np.argsort(order.key(table.iloc[rows]))]]
            arranged.append(time.perf_counter() - began)
            state.queue.obsids = obsids
            for page in rng.integers(0, max(len(obsids) // PAGE, 1), 20):
                began = time.perf_counter()
                assert len(queue_page(state, page)) == PAGE
                took.append(time.perf_counter() - began)
    told(f"page of {PAGE} of {n:,} stars", np.array(took), "5 ms")
    told("a queue put in another order or filter", np.array(arranged), "(once per choice)")


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="msfa-team-"))
    survey = Survey(make_small_survey(folder / "survey").path)
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    postgres = own_server()
    try:
        with Disk(folder) as disk:
            took = crowd(survey, postgres.url, 20, 0.5)
        told("PostgreSQL, 20 reviewers, a verdict each 0.5 s", took, "25 ms")
        told("  fsync meanwhile", np.array(disk.took), "")
    finally:
        postgres.remove()
    with Disk(folder) as disk:
        took = crowd(survey, folder / "vetting.sqlite", 5, 0.25)
    limit = 2e3 * np.percentile(disk.took, 95)
    told("SQLite, 5 reviewers, a verdict each 0.25 s", took, f"{limit:.1f} ms (2 fsync)")
    told("  fsync meanwhile", np.array(disk.took), "")
    pages()
    shutil.rmtree(folder)
