"""A table that was counted by hand: what the funnel and the status must say of it."""

import pandas as pd

from msfa_core.columns import conform

BOX = "mine: hdelta d02 20..30, fm 0.1..0.3; hgamma d02 20..30, fm 0.1..0.3"
IN, OUT = 25.0, 40.0  # D0.2 inside and outside of the cuts


def spectrum(obsid, star, **changes):
    """Return a spectrum that passes every step; ``changes`` take it out."""
    base = {
        "obsid": obsid, "uid": f"G{star}", "snr_g": 50.0, "in_search_domain": True,
        "predicted_class": "BHB", "p_bhb": 0.9, "is_candidate": True, "known_in": None,
        "d02_hdelta": IN, "fm_hdelta": 0.2, "d02_hgamma": IN, "fm_hgamma": 0.2,
        "balmer_flags_hdelta": 0, "balmer_flags_hgamma": 0, "in_bhb_region": True,
        "teff": 8500.0, "logg": 3.3, "feh": -1.8, "parallax_mas": 0.3,
        "parallax_over_error": 10.0, "in_cmd_trapezoid": True, "cmd_exclusions": 32,
    }  # fmt: skip
    return {**base, **changes}


def counted_table():
    """Return fifteen spectra; each line of the list leaves the chain at another place."""
    rows = [
        spectrum(1, 1),
        spectrum(2, 1, snr_g=80.0, logg=4.5),  # of the same star, better: it speaks for it
        spectrum(3, 3, in_search_domain=False, is_candidate=False),
        spectrum(4, 4, predicted_class="A", is_candidate=False),
        spectrum(5, 5, p_bhb=0.2, is_candidate=False),
        spectrum(6, 6, known_in="xue2011"),
        spectrum(7, 7, d02_hdelta=OUT, in_bhb_region=False),
        spectrum(8, 8, d02_hgamma=OUT, in_bhb_region=False),
        spectrum(9, 9, d02_hgamma=OUT, d02_hdelta=OUT, in_bhb_region=False),
        spectrum(10, 10, feh=-0.3),
        spectrum(11, 11, parallax_mas=-0.1, parallax_over_error=-3.0, in_cmd_trapezoid=None),
        spectrum(12, 12, parallax_over_error=4.0),
        spectrum(13, 13, in_cmd_trapezoid=False),
        spectrum(14, 14, cmd_exclusions=1 | 32),
        spectrum(15, None, cmd_exclusions=8 | 16 | 32, uid=None, in_cmd_trapezoid=False),
    ]
    return conform(pd.DataFrame(rows))
