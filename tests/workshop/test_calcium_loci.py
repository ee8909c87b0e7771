"""The shipped table of Ca II K loci is what the model grid and our measurements give."""

import numpy as np
import pandas as pd
from pytest import approx

from msfa_core.balmer.locus import LOCI_FILE
from msfa_core.workshop.calcium_loci import calcium_table, main


def test_the_shipped_table_is_the_one_that_is_computed():
    shipped, made = pd.read_csv(LOCI_FILE), calcium_table()
    assert list(shipped.columns) == list(made.columns)
    assert shipped["sequence"].tolist() == made["sequence"].tolist()
    for name, within in {"teff": 0.5, "logg": 1e-3, "feh": 0.01, "bp_rp": 2e-3}.items():
        assert shipped[name].to_numpy() == approx(made[name].to_numpy(), abs=within)
    for name, within in {"d02_hdelta": 0.3, "kp": 0.03}.items():
        assert np.abs(shipped[name] - made[name]).max() < within


def test_a_table_that_cannot_be_written_is_one_line(tmp_path, caplog):
    folder = tmp_path / "loci.csv"
    folder.mkdir()
    assert main([str(folder)]) == 1
    assert "cannot write" in caplog.text
