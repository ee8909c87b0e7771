"""Matches, groups, decisions and tables beside what a user would pick."""

import os
import statistics
import time

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.io import ascii as astropy_ascii
from astropy.table import Table
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from msfa_core.columns import BY_NAME, PAPER_COLUMNS
from msfa_core.stars.crossmatch import match_sky
from msfa_core.stars.epochs import assign_uids, group_positions
from msfa_core.tables.export import export
from msfa_core.vetting.decision import Decision, Verdict, decisions_table
from msfa_core.vetting.record import verdict_of_record
from msfa_core.vetting.store import Store

pytestmark = pytest.mark.benchmark
SPECTRA, STARS, KNOWN, ROUNDS = 600_000, 400_000, 60_000, 3
DECISIONS, HISTORY = 200, 100_000


@pytest.fixture(scope="module")
def sky():
    """600,000 spectra of stars over the northern sky, a few epochs each; and 60,000 known stars."""
    rng = np.random.default_rng(1)
    ra = rng.uniform(0, 360, STARS)
    dec = np.degrees(np.arcsin(rng.uniform(-0.17, 1.0, STARS)))
    star = rng.integers(0, STARS, SPECTRA)
    scatter = rng.normal(0, 0.3 / 3600, (2, SPECTRA))
    ra, dec = ra[star] + scatter[0], np.clip(dec[star] + scatter[1], -90, 90)
    known = rng.choice(SPECTRA, KNOWN, replace=False)
    return ra, dec, ra[known] + 1e-4, dec[known], star


def seconds(function, clock=time.process_time):
    """Median seconds of CPU time of several rounds."""
    spent = []
    for _ in range(ROUNDS):
        began = clock()
        function()
        spent.append(clock() - began)
    return statistics.median(spent)


@pytest.mark.peer
def test_matching_is_twice_as_fast_as_astropy_and_finds_the_same_pairs(sky, beside):
    ra1, dec1, ra2, dec2, _ = sky

    def astropy_way():
        one, two = SkyCoord(ra1, dec1, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
        return search_around_sky(one, two, 3 * u.arcsec)

    theirs, mine = astropy_way(), match_sky(ra1, dec1, ra2, dec2, 3.0)
    assert len(mine[0]) == len(theirs[0]) > KNOWN
    assert set(mine[0] * KNOWN + mine[1]) == set(theirs[0] * KNOWN + theirs[1])
    peer = seconds(astropy_way)
    ours = seconds(lambda: match_sky(ra1, dec1, ra2, dec2, 3.0))
    beside("3″ match, 600k × 60k", "astropy search_around_sky", peer, ours, "s", goal=2)


@pytest.mark.peer
def test_groups_are_five_times_faster_than_astropy_and_the_same(sky, beside):
    ra, dec, _, _, _ = sky

    def astropy_way():
        places = SkyCoord(ra, dec, unit="deg")
        i, j, _, _ = search_around_sky(places, places, 3 * u.arcsec)
        graph = coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), shape=(SPECTRA, SPECTRA))
        return connected_components(graph, directed=False)

    count, _ = astropy_way()
    assert group_positions(ra, dec, 3.0).max() + 1 == count
    peer, ours = seconds(astropy_way), seconds(lambda: group_positions(ra, dec, 3.0))
    beside("groups of 600k", "astropy, connected components", peer, ours, "s", goal=5)


def test_identifying_600k_spectra_takes_seconds(sky):
    ra, dec, _, _, star = sky
    has_gaia = np.random.default_rng(2).random(SPECTRA) < 0.9
    table = pd.DataFrame(
        {
            "obsid": np.arange(1, SPECTRA + 1),
            "ra": ra,
            "dec": dec,
            "gaia_source_id": pd.Series(2**60 + star).astype("Int64").where(has_gaia),
            "snr_g": np.random.default_rng(3).random(SPECTRA),
        }
    )
    spent = seconds(lambda: assign_uids(table))
    print(f"\nuid, epochs, representative of 600k spectra: {spent:.2f} s")
    assert spent < 10


@pytest.mark.peer
def test_a_durable_decision_costs_little_more_than_the_disk_and_less_than_a_csv(tmp_path, beside):
    table = pd.DataFrame(
        {"obsid": np.arange(HISTORY), "verdict": "accept", "comment": "as in the table"}
    )
    csv = seconds(lambda: table.to_csv(tmp_path / "decisions.csv", index=False), time.perf_counter)
    plain, ours = [], []
    working = 0.0  # CPU seconds of our share; the rest is the disk's
    with (tmp_path / "plain").open("ab", buffering=0) as file, Store(tmp_path / "v.db") as store:
        for number in range(DECISIONS):
            began = time.perf_counter()
            file.write(b"x" * 300)
            os.fsync(file.fileno())
            plain.append(time.perf_counter() - began)
            decision = Decision(number, "G1", Verdict.ACCEPT, "Ann", shown={"p_bhb": 0.5})
            began, at_work = time.perf_counter(), time.process_time()
            store.append_decision(decision)
            ours.append(time.perf_counter() - began)
            working += time.process_time() - at_work
    limit, half, most = np.median(plain), np.median(ours), np.quantile(ours, 0.95)
    peer = f"CSV of {HISTORY:,} rewritten"
    beside("one durable decision", peer, csv * 1e3, half * 1e3, "ms", goal=5, limit=limit * 1e3)
    print(
        f"append + fsync p50 {limit * 1e3:.2f} p95 {np.quantile(plain, 0.95) * 1e3:.2f} ms; "
        f"decision p50 {half * 1e3:.2f} p95 {most * 1e3:.2f} ms, "
        f"of which CPU {working / DECISIONS * 1e3:.2f} ms"
    )
    assert working / DECISIONS < 4e-3  # one fsync of the disk


def test_a_page_of_decisions_is_as_quick_at_the_end_of_a_long_history(tmp_path):
    with Store(tmp_path / "v.db") as store:
        row = store.append_decision(Decision(1, "G1", Verdict.ACCEPT, "Ann")).as_dict()
        names = [name for name in row if name not in ("decision_id", "shown", "issue_flags")]
        values = {name: row[name] for name in names} | {"shown": "{}", "issue_flags": "[]"}
        with store._engine.begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO decisions ({', '.join(values)}) "
                f"VALUES ({', '.join('?' * len(values))})",
                [tuple({**values, "obsid": n % 5000}.values()) for n in range(HISTORY)],
            )
        spent = {"first page": [], "deep page": [], "one star": []}
        for number in range(100):
            for name, options in (
                ("first page", {"limit": 50}),
                ("deep page", {"limit": 50, "before": 60 + number}),
                ("one star", {"obsid": number * 7, "limit": 10}),
            ):
                began = time.process_time()
                store.decisions(**options)
                spent[name].append(time.process_time() - began)
        began = time.perf_counter()
        standing = store.standing()
        whole = time.perf_counter() - began
    assert len(standing) == HISTORY + 1
    print()
    for name, times in spent.items():
        half, most = np.quantile(times, (0.5, 0.95)) * 1e3
        print(f"{name:12s} of {HISTORY} decisions: p50 {half:.2f} p95 {most:.2f} ms")
    print(f"all standing of {HISTORY} decisions: {whole:.2f} s")
    assert np.median(spent["deep page"]) < 2 * np.median(spent["first page"])
    assert np.quantile(spent["deep page"], 0.95) < 5e-3


@pytest.mark.peer
def test_the_verdict_of_record_of_600k_spectra_takes_less_than_a_loop(sky, beside):
    rng = np.random.default_rng(4)
    candidates = pd.DataFrame(
        {"obsid": np.arange(1, SPECTRA + 1), "uid": pd.Series(sky[4]).map("G{}".format)}
    )
    empty = decisions_table([Decision(1, "", "accept", "Ann", decision_id=1)])
    history = pd.concat([empty] * HISTORY, ignore_index=True).assign(
        decision_id=np.arange(HISTORY),
        obsid=rng.integers(1, SPECTRA + 1, HISTORY),
        verdict=rng.choice(list(Verdict), HISTORY),
        reviewer=rng.choice(["Ann", "Bob", "Cid"], HISTORY),
    )

    def loop():
        star = dict(zip(candidates["obsid"], candidates["uid"], strict=True))
        latest = {}
        for row in history.itertuples():
            latest[star[row.obsid]] = row.verdict
        return [latest.get(uid) for uid in candidates["uid"]]

    ours = verdict_of_record(history, candidates, "latest")["verdict"]
    assert ours.astype(object).where(ours.notna(), None).tolist() == loop()
    peer, mine = seconds(loop), seconds(lambda: verdict_of_record(history, candidates, "agreement"))
    beside("verdict of record, 600k × 100k", "loop over a dict", peer, mine, "s")
    assert mine < 5


@pytest.mark.peer
def test_a_machine_readable_table_is_written_faster_than_by_astropy(tmp_path, beside):
    rng = np.random.default_rng(5)
    n = 5_000
    table = pd.DataFrame({name: rng.normal(100, 30, n) for name in PAPER_COLUMNS})
    table["obsid"] = np.arange(n)

    def astropy_way():
        out = Table.from_pandas(table)
        for name in out.colnames:
            out[name].format = BY_NAME[name].format
            out[name].unit = BY_NAME[name].unit or None
        astropy_ascii.write(out, tmp_path / "theirs.mrt", format="mrt", overwrite=True)

    peer = seconds(astropy_way)
    ours = seconds(lambda: export(table, tmp_path / "ours.mrt", overwrite=True))
    beside("MRT of 5,000 rows", "astropy ascii.mrt", peer, ours, "s", goal=1)
