"""Products hold what the archive and the table hold, and every reader of FITS reads them."""

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from small_survey import make_small_survey

from msfa_core import __version__
from msfa_core.cli import run_cli
from msfa_core.columns import BY_NAME, COLUMNS
from msfa_core.errors import ExportError
from msfa_core.products import write_products
from msfa_core.products.writing import product_names
from msfa_core.spectra import read_spectrum
from msfa_core.spectra.fits_cards import BLOCK
from msfa_core.spectra.fits_units import Unit, header_size, ones_complement_sum
from msfa_core.survey.folder import Survey
from msfa_core.tables.read import read_table
from msfa_core.vetting.decision import Decision, Verdict

N_SPECTRA, N_PAIRS = 28, 4  # of 24 stars; every sixth has two


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A survey with results, decisions on two stars, and its third star without position or z."""
    made = make_small_survey(tmp_path_factory.mktemp("products") / "S")
    table = made.table()
    made.write_table(table.assign(epoch_rv=table["z"] * 299_792.458))
    store = made.store()
    for row, verdict in ((0, Verdict.ACCEPT), (3, Verdict.REJECT)):
        uid, obsid = str(table["uid"].iloc[row]), int(table["obsid"].iloc[row])
        store.append_decision(Decision(obsid, uid, verdict, "Ann"))
    store.close()
    return made


@pytest.fixture(scope="module")
def written(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return folder, write_products(survey, folder, coadded=True)


def singles(folder):
    return sorted(Path(folder).glob("spec-*.fits"))


# --- what is in a product ------------------------------------------------------------------------
def test_arrays_are_those_of_the_survey_bit_for_bit_in_every_reader(survey, written):
    folder, report = written
    assert (report.n_spectra, report.n_stars) == (N_SPECTRA, N_PAIRS)
    assert report.n_written == N_SPECTRA + N_PAIRS == len(list(folder.glob("*.fits")))
    for path in singles(folder):
        ours = read_spectrum(path)
        kept = survey.spectrum(ours.obsid)
        with fits.open(path, checksum=True) as units:
            row = units["COADD"].data[0]
            for name in ("flux", "ivar", "wavelength"):
                values = getattr(kept, name)
                assert getattr(ours, name).dtype == values.dtype
                np.testing.assert_array_equal(getattr(ours, name), values)
                np.testing.assert_array_equal(row[name.upper()], values)
            np.testing.assert_array_equal(ours.mask, kept.mask)
            np.testing.assert_array_equal(row["ANDMASK"] != 0, kept.mask)
            np.testing.assert_array_equal(row["ORMASK"] != 0, kept.meta["soft_mask"])
            assert (row["NORMALIZATION"] == -9999).all()
        for name in ("z", "ra", "dec", "snr_g"):
            assert getattr(ours, name) == getattr(kept, name)
        assert ours.meta["class"] == kept.meta["class"]


def test_the_coadd_table_is_lamosts(written):
    folder, _ = written
    with fits.open(singles(folder)[0]) as units:
        names = ["FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION"]
        assert units["COADD"].columns.names == names
        assert len(units["COADD"].data) == 1
        assert units[0].data is None
        assert [unit.name for unit in units] == ["PRIMARY", "COADD", "RESULTS", "MASKS"]
        assert units[0].header["N_EXTEN"] == len(units) - 1


def test_every_unit_passes_the_verification_of_astropy_and_its_checksums(written):
    folder, _ = written
    for path in [*singles(folder)[::5], *folder.glob("coadd-*.fits")]:
        with fits.open(path, checksum=True) as units:  # a wrong sum is a warning, thus an error
            units.verify("exception")
            for unit in units:
                assert {"CHECKSUM", "DATASUM"} <= set(unit.header)
                assert unit.verify_checksum() == unit.verify_datasum() == 1
        assert path.stat().st_size % BLOCK == 0


def test_results_are_the_row_of_the_table_with_units_and_ucds(survey, written):
    folder, _ = written
    table = survey.table_with_verdicts().set_index("obsid")
    for path in singles(folder)[::4]:
        with fits.open(path) as units:
            results = units["RESULTS"]
            obsid = int(results.data["obsid"][0])
            for number, name in enumerate(results.columns.names, start=1):
                column = BY_NAME.get(name)
                got, put = results.data[name][0], obsid if name == "obsid" else table[name][obsid]
                if column is None:
                    continue
                if pd.isna(put):
                    missing = {"int": -(2**63), "bool": -1, "str": ""}
                    assert np.isnan(got) if column.kind == "float" else got == missing[column.kind]
                else:
                    assert got == put, name
                assert results.header.get(f"TUCD{number}", "") == column.ucd
            assert set(results.columns.names) >= {column.name for column in COLUMNS}
    units_of = {column.name: column.unit for column in results.columns}
    assert (units_of["teff"], units_of["epoch_rv"], units_of["ra"]) == ("K", "km s-1", "deg")


def test_the_header_says_where_the_file_comes_from(survey, written):
    folder, _ = written
    header = fits.getheader(singles(folder)[0])
    assert header["CREATOR"] == f"msfa-bhb {__version__}"
    assert header["SIMULATE"] is True
    assert header["SURVEY"] == survey.path.name
    assert "settings:" in str(header["HISTORY"])
    assert header["TELESCOP"] == "LAMOST"
    assert header["FILENAME"] == singles(folder)[0].name


def test_the_bits_of_the_masks_are_explained(written):
    folder, _ = written
    for path in folder.glob("*.fits"):
        with fits.open(path) as units:
            meanings = units["MASKS"].data
            for name in ("ANDMASK", "ORMASK"):
                bits = int(np.bitwise_or.reduce(units["COADD"].data[name][0].astype(int)))
                told = int(meanings["VALUE"][meanings["MASK"] == name].sum())
                assert bits & ~told == 0


@pytest.mark.slow  # the import of specutils
def test_specutils_reads_products(written):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of third parties, at import
        from specutils import Spectrum

        import msfa_core.spectra.specutils_io  # noqa: F401

    folder, _ = written
    for path in (singles(folder)[0], next(folder.glob("coadd-*.fits"))):
        theirs, ours = Spectrum.read(path), read_spectrum(path)
        np.testing.assert_array_equal(theirs.flux.value, ours.flux)
        np.testing.assert_array_equal(theirs.spectral_axis.to_value("AA"), ours.wavelength)
        np.testing.assert_array_equal(theirs.uncertainty.array, ours.ivar)
        np.testing.assert_array_equal(theirs.mask, ours.mask)
        assert theirs.redshift.value == pytest.approx(ours.z)
        assert theirs.meta["obsid"] == ours.obsid


# --- co-added stars ------------------------------------------------------------------------------
def test_a_coadded_star_is_that_of_the_core_function_with_its_epochs(survey, written):
    from msfa_core.spectra import coadd

    folder, _ = written
    table = survey.table()
    for uid, epochs in table.groupby("uid"):
        path = folder / f"coadd-{uid}.fits"
        assert path.exists() == (len(epochs) > 1)
        if not path.exists():
            continue
        ours = coadd([survey.spectrum(int(obsid)) for obsid in epochs["obsid"]])
        back = read_spectrum(path)
        np.testing.assert_array_equal(back.flux, ours.flux)
        np.testing.assert_array_equal(back.ivar, ours.ivar)
        assert back.z == 0.0
        assert back.obsid not in set(table["obsid"])
        with fits.open(path) as units:
            assert units["EPOCHS"].data["OBSID"].tolist() == epochs["obsid"].tolist()
            assert units["EPOCHS"].data["RV"] == pytest.approx(epochs["z"].to_numpy() * 299_792.458)
            assert units[0].header["UID"] == uid
            best = epochs["obsid"][epochs["snr_g"].idxmax()]
            assert units["RESULTS"].data["obsid"][0] == best


def test_a_star_that_cannot_be_added_up_is_named_and_the_rest_is_written(tmp_path, capsys):
    copy = make_small_survey(tmp_path / "S")
    table = copy.table()
    uid = table["uid"][table["uid"].duplicated()].iloc[0]
    copy.write_table(table.assign(z=table["z"].where(table["uid"] != uid)))
    report = write_products(copy, tmp_path / "out", coadded=True)
    assert [name for name, _ in report.failed] == [f"coadd-{uid}.fits"]
    assert "Doppler shift" in report.failed[0][1]
    assert report.n_written == N_SPECTRA + N_PAIRS - 1
    assert run_cli(["products", str(copy.path), str(tmp_path / "out"), "--coadd", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert f"not written: coadd-{uid}.fits" in said
    assert "1 product could not be made" in said


# --- which spectra -------------------------------------------------------------------------------
def test_candidates_or_a_verdict_choose_the_spectra(survey, tmp_path):
    table = survey.table_with_verdicts()
    n_candidates = int(table["is_candidate"].sum())
    assert write_products(survey, tmp_path / "a", "candidates").n_written == n_candidates
    accepted = table[(table["verdict"] == "accept").fillna(False)]
    report = write_products(survey, tmp_path / "b", "accept", coadded=True)
    assert report.n_spectra == len(accepted)
    index = read_table(tmp_path / "b" / "products.csv")
    assert index["obsid"].dropna().tolist() == accepted["obsid"].tolist()
    assert all((tmp_path / "b" / name).exists() for name in index["file"])
    with pytest.raises(ExportError, match="no spectrum for the choice 'unsure'"):
        write_products(survey, tmp_path / "c", "unsure")
    assert not (tmp_path / "c").exists()
    with pytest.raises(ExportError, match="'all', 'candidates'"):
        write_products(survey, tmp_path / "c", "best")


# --- again, and interrupted ----------------------------------------------------------------------
def test_a_second_call_writes_nothing_and_a_changed_row_only_its_file(tmp_path):
    survey = make_small_survey(tmp_path / "S")
    write_products(survey, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in singles(tmp_path / "out")}
    again = write_products(survey, tmp_path / "out")
    assert (again.n_written, again.n_unchanged) == (0, N_SPECTRA)
    table = survey.table()
    table.loc[5, "teff"] = 9999.0
    survey.write_table(table)
    assert write_products(survey, tmp_path / "out").n_written == 1
    changed = [path for path, when in before.items() if path.stat().st_mtime_ns != when]
    assert [read_spectrum(path).obsid for path in changed] == [table["obsid"][5]]


def test_an_interrupted_call_leaves_whole_files_and_the_next_one_goes_on(tmp_path, monkeypatch):
    survey, out = make_small_survey(tmp_path / "S"), tmp_path / "out"
    write = Path.write_bytes
    calls = []

    def interrupted(path, content):
        calls.append(path)
        if len(calls) == 10:
            write(path, content[:5000])
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_products(survey, out)
    monkeypatch.undo()
    assert len(list(out.iterdir())) == 9
    for path in out.iterdir():
        read_spectrum(path)
    report = write_products(survey, out)
    assert (report.n_written, report.n_unchanged) == (N_SPECTRA - 9, 9)


def test_a_file_cut_short_by_a_power_failure_is_written_again(survey, tmp_path):
    write_products(survey, tmp_path)
    first, second = singles(tmp_path)[:2]
    first.write_bytes(first.read_bytes()[:-2880])
    second.write_bytes(b"")
    assert write_products(survey, tmp_path).n_written == 2
    read_spectrum(first)


def test_what_a_killed_call_left_half_written_goes_after_an_hour(survey, tmp_path):
    old, young = tmp_path / ".a.fits.1.writing", tmp_path / ".b.fits.2.writing"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    write_products(survey, tmp_path, "candidates")
    assert not old.exists()
    assert young.exists()


# --- bad input -----------------------------------------------------------------------------------
def test_a_file_that_is_no_product_is_never_replaced(survey, tmp_path):
    name = product_names(survey.table()).iloc[7]
    (tmp_path / name).write_bytes(b"SIMPLE  = the original of someone")
    with pytest.raises(ExportError, match="is not replaced"):
        write_products(survey, tmp_path)
    assert (tmp_path / name).read_bytes().endswith(b"someone")


def test_a_full_disk_is_reported_with_what_is_complete(survey, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if len(list(tmp_path.glob("*.fits"))) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExportError, match=r"No space left.* 5 of 28 products are complete"):
        write_products(survey, tmp_path)
    monkeypatch.undo()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".fits"] * 5


def test_a_folder_that_cannot_be_one_is_named(survey, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="cannot be a folder of products"):
        write_products(survey, tmp_path / "file")

    def read_only(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", read_only)
    with pytest.raises(ExportError, match="Permission denied"):
        write_products(survey, tmp_path / "out")


def test_spectra_without_position_shift_results_or_star_are_written_as_well(tmp_path):
    from small_survey import star_spectrum

    rng = np.random.default_rng(1)
    bare = replace(
        star_spectrum(77, 9, 0.7, 0, 30, rng),
        ra=np.nan,
        dec=np.nan,
        z=np.nan,
        snr_g=np.nan,
        meta={},
    )
    survey = Survey.create(tmp_path / "S")
    survey.archive.append([bare])
    report = write_products(survey, tmp_path / "out", coadded=True)
    assert (report.n_written, report.n_stars) == (1, 0)
    back = read_spectrum(tmp_path / "out" / "spec-77.fits")
    assert np.isnan([back.ra, back.dec, back.z]).all()
    np.testing.assert_array_equal(back.flux, bare.flux)


# --- names ---------------------------------------------------------------------------------------
def test_names_are_lamosts_and_never_meet():
    own = {"lmjd": 55862, "planid": "B6212", "spid": 6, "fiberid": 7}
    rows = [
        {"obsid": 1, "file": "x.fits", **own},
        {"obsid": 2, "file": "a/b/spec-1.fits.gz"},
        {"obsid": 3, "file": "c/SPEC-1.fits"},
        {"obsid": 4, "file": ""},
        {"obsid": 5, "file": None, **own, "resolution": "medium", "fiberid": 8},
        {"obsid": 6, "file": "../odd name*?.fit"},
        {"obsid": 7, "file": ".hidden"},
        {"obsid": 8, "file": "y" * 400},
    ]
    names = product_names(pd.DataFrame(rows)).tolist()
    assert names[:7] == [
        "spec-55862-B6212_sp06-007.fits", "spec-1-2.fits", "SPEC-1-3.fits", "spec-4.fits",
        "med-55862-B6212_sp06-008.fits", "odd_name__.fits", "hidden.fits",
    ]  # fmt: skip
    assert len(names[7]) < 255


def test_names_do_not_meet_even_when_files_are_named_to_do_so():
    files = ["a.fits", "A.fits", "a-1.fits"]
    names = product_names(pd.DataFrame({"obsid": [1, 2, 3], "file": files}))
    assert names.str.lower().is_unique


# --- bytes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(20))
def test_checksums_are_right_for_any_data(seed, tmp_path):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, rng.integers(1, 9000), dtype=np.uint8).tobytes()
    cards = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 1, ""), ("NAXIS1", len(data), "")]
    content = Unit(cards).content(data)
    assert ones_complement_sum(content) in (0, 0xFFFFFFFF)
    assert len(content) == header_size(len(cards)) + -(-len(data) // 2880) * 2880
    (tmp_path / "a.fits").write_bytes(content)
    with fits.open(tmp_path / "a.fits", checksum=True) as units:
        assert units[0].verify_checksum() == units[0].verify_datasum() == 1
