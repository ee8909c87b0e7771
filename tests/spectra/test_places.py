"""Places of headers: degrees in whatever spelling, and refused where the header denies them."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits

from msfa_core.errors import ReadError
from msfa_core.spectra.places import centre_of_plan
from msfa_core.spectra.readers import read_spectrum

N = 1500
RA, DEC = 150.0, 30.0
FLUX = np.random.default_rng(5).normal(1000.0, 20.0, N)
COLUMNS = {"FLUX": FLUX, "IVAR": np.full(N, 1 / 400), "WAVELENGTH": np.geomspace(3700, 9000, N)}
HERE = {"RA": RA, "DEC": DEC}


def table(path, **cards):
    primary = fits.PrimaryHDU()
    primary.header.update({"OBSID": 7, **cards})
    made = [fits.Column(key, "D", array=values) for key, values in COLUMNS.items()]
    fits.HDUList([primary, fits.BinTableHDU.from_columns(made)]).writeto(path, overwrite=True)
    return path


WITNESSES = [
    {"RA_OBS": RA, "DEC_OBS": DEC},
    {"OBS_RA": RA, "OBS_DEC": DEC},
    {"RA_TARG": "10:00:00", "DEC_TARG": "+30:00:00"},
    {"OBJECT": "SDSS J100000.00+300000.0"},
    {"OBJNAME": "J100000.00+300000.0"},
    {"SPRA": RA + 0.7, "SPDEC": DEC - 0.5},
    {"GL": 198.14213, "GB": 52.46412},
    {"PLANID": "HD095500N293000V01"},
    {"PLANID": "GAC148N29B1"},
]


@pytest.mark.parametrize("witness", WITNESSES, ids=[" ".join(one) for one in WITNESSES])
@pytest.mark.parametrize(
    "wrong", [{"RA": RA / 15}, {"RA": 2.61799, "DEC": 0.523599}, {"RA": DEC, "DEC": 15.0}]
)
def test_a_place_in_hours_in_radians_or_exchanged_is_told_by_what_else_is_said(
    tmp_path, witness, wrong
):
    found = read_spectrum(table(tmp_path / "a.fits", **HERE, **witness))
    assert (found.ra, found.dec) == (RA, DEC)
    with pytest.raises(ReadError, match=r"its position .* deg from .*; correct RA and DEC"):
        read_spectrum(table(tmp_path / "a.fits", **{**HERE, **wrong}, **witness))


def test_the_name_of_the_plan_may_be_that_of_the_file(tmp_path):
    with pytest.raises(ReadError, match=r"centre of its plate \(HD100000N300000V01\)"):
        name = "spec-57000-HD100000N300000V01_sp03-012.fits"
        read_spectrum(table(tmp_path / name, RA=RA / 15, DEC=DEC))


@pytest.mark.parametrize(
    "unset",
    [
        {"RA_OBS": 0.0, "DEC_OBS": 0.0},
        {"SPRA": -999.0, "SPDEC": -999.0},
        {"GL": "", "GB": ""},
        {"OBJECT": "spec"},
        {"PLANID": "B6202"},
        {"RA_OBS": 12.0},
    ],
)
def test_what_says_nothing_of_a_place_denies_none(tmp_path, unset):
    assert read_spectrum(table(tmp_path / "a.fits", **HERE, **unset)).ra == RA


@pytest.mark.parametrize(
    ("planid", "centre"),
    [
        ("HD083217N210132V01", (128.070833, 21.025556)),
        ("EG215014S003621B01", (327.558333, -0.605833)),
        ("GAC_105N29_B1", (105.0, 29.0)),
        ("VB032N28V1", (32.0, 28.0)),
        ("B5591503", None),
        ("HIP95119KP01", None),
        ("HD999999N300000V01", None),
    ],
)
def test_the_name_of_a_plan_may_tell_the_centre_of_its_plate(planid, centre):
    assert centre_of_plan(planid) == (None if centre is None else pytest.approx(centre, abs=1e-5))


@pytest.mark.parametrize(
    "words",
    ["hours", "Right ascension, hours", "decimal hours", "unit: hour", "[hms]", "[hour angle]"],
)
def test_hours_in_words_count_of_what_can_be_hours(tmp_path, words):
    found = read_spectrum(table(tmp_path / "a.fits", RA=(RA / 15, words), DEC=DEC))
    assert found.ra == pytest.approx(RA)
    if "[" not in words:  # which would leave no doubt
        assert read_spectrum(table(tmp_path / "a.fits", RA=(RA, words), DEC=DEC)).ra == RA


@pytest.mark.parametrize("words", ["radians", "units=rad", "[rad]"])
def test_radians_in_words_count(tmp_path, words):
    found = read_spectrum(table(tmp_path / "a.fits", RA=(2.6179938779914944, words), DEC=DEC))
    assert found.ra == pytest.approx(RA)


def test_places_of_a_later_equinox_are_brought_to_icrs(tmp_path):
    cards = {"RA": 150.352979, "DEC": 29.881668, "RADESYS": "FK5", "EQUINOX": 2024.5}
    found = read_spectrum(table(tmp_path / "a.fits", **cards))
    assert (found.ra, found.dec) == pytest.approx((RA, DEC), abs=1e-4)
    cards["RADESYS"] = "ICRS"  # which has no equinox
    assert read_spectrum(table(tmp_path / "a.fits", **cards)).ra == cards["RA"]


@pytest.mark.parametrize("system", ["GALACTIC", "ECLIPTIC", "GAPPT"])
def test_a_place_in_another_system_is_refused(tmp_path, system):
    with pytest.raises(ReadError, match="another system than the equatorial one"):
        read_spectrum(table(tmp_path / "a.fits", RADESYS=system))


LAMOST = {
    "TELESCOP": "LAMOST",
    "DATE-OBS": "2016-02-24T15:59:00",
    "SPID": 3,
}  # 151 deg on the meridian


@pytest.mark.parametrize(("wrong", "unit"), [(RA / 15, "hours"), (2.61799, "radians")])
def test_the_time_tells_hours_and_radians_of_a_header_that_says_nothing_else(tmp_path, wrong, unit):
    alone = {"RA": wrong, "DEC": DEC if unit == "hours" else 0.523599}
    assert read_spectrum(table(tmp_path / "a.fits", **HERE, **LAMOST)).ra == RA
    with pytest.raises(ReadError, match=rf"far from the meridian of LAMOST .* if it is in {unit}"):
        read_spectrum(table(tmp_path / "a.fits", **alone, **LAMOST))
    elsewhere = {key: LAMOST[key] for key in ("TELESCOP", "DATE-OBS")}  # written as LAMOST does
    for other in ({}, {"TELESCOP": "LAMOST"}, {**LAMOST, "TELESCOP": "SDSS 2.5-M"},
                  {**LAMOST, "DATE-OBS": "2016-02-24"}, elsewhere):  # fmt: skip
        assert read_spectrum(table(tmp_path / "a.fits", **alone, **other)).ra == wrong


@pytest.mark.parametrize("ra", [0.5, 5.0, 12.0, 23.9, 355.0])
@pytest.mark.parametrize("late", [-2, -1, 0, 1, 2])
def test_places_at_small_right_ascension_are_believed_near_the_meridian(tmp_path, ra, late):
    time = datetime(2011, 10, 24, 16, 6) + timedelta(hours=(ra - 31.8) / 15.04 + late)
    cards = {"RA": ra, "DEC": DEC, **LAMOST, "DATE-OBS": time.isoformat()}
    assert read_spectrum(table(tmp_path / "a.fits", **cards)).ra == ra


@pytest.mark.parametrize("dec", [85.0, 88.5, 89.9])
def test_places_around_the_pole_are_believed_at_any_time(tmp_path, dec):
    cards = {"RA": RA / 15, "DEC": dec, **LAMOST}  # of a field on the meridian at 151 deg
    assert read_spectrum(table(tmp_path / "a.fits", **cards)).ra == RA / 15
