"""What the shipped search says of real hot stars that nobody trained on."""

import numpy as np
import pandas as pd
import pytest
from library_spectra import at_lamost, read_miles

from msfa_core.balmer import fit_lines, in_bhb_region
from msfa_core.search import TwoStageSearch
from msfa_core.spectra import prepare

DRAWS = 10
LOG_SNR = (1.0, 1.9)  # S/N 10 to 80, even in its logarithm


@pytest.mark.real
@pytest.mark.benchmark
def test_real_bhb_stars_are_told_from_other_hot_stars(real_data):
    manifest = pd.read_csv(real_data / "MANIFEST.csv")
    stars = manifest[manifest["path"].str.startswith("miles/")]
    rng = np.random.default_rng(5)
    search = TwoStageSearch.load()
    rows = []
    for star in stars.itertuples():
        spectrum = read_miles(real_data / star.path)
        draws = [at_lamost(spectrum, 10 ** rng.uniform(*LOG_SNR), rng) for _ in range(DRAWS)]
        chosen = search.classify(prepare(draws)).are_bhb()
        in_box = in_bhb_region(fit_lines(draws), "ju2024")
        rows.append((star.object_class, chosen.mean(), (chosen & in_box).mean()))
    shares = pd.DataFrame(rows, columns=["class", "candidate", "candidate in ju2024"])
    table = shares.groupby("class").agg(["mean", "size"])
    print(f"\nMILES stars, {DRAWS} draws each at S/N 10-80\n{table.to_string()}")
    is_bhb = shares["class"] == "BHB"
    print(f"all that are not BHB: {shares.loc[~is_bhb, 'candidate'].mean():.3f}")
    assert shares.loc[is_bhb, "candidate"].mean() > shares.loc[~is_bhb, "candidate"].mean()
