"""Cards of headers say to us what they say to astropy, however they are spelled."""

import random
import warnings

import pytest
from astropy.io import fits

from msfa_core.spectra.fits_cards import Cards, UnusualFits

SPELLINGS = (
    "=                   12 / whole", "= 12", "=                  -12", "= +7", "= -0", "= 007",
    "=                 1.25 / real", "= .5", "= 5.", "= -1.5E3", "= 1.5e-3/x", "= 1.5D2", "= 1E5",
    "= 'word    '           / said", "= ''", "= 'it''s'", "= '  in'", "= 'a/b' / c",
    "= 'a'b", "='a'", "= 'a'/b", "= 'a&'", "= 'a & b'", "= 'a&''b'",
    "=                    T", "= F / no", "= TRUE", "=", "=  / nothing", "=5", "=5.0 / none", "  5",
    "= 1 2", "= 1.5.2", "= 12a", "= nan", "= 'open", "= 'ends&'", "= (1.0, 2.0)", "= 0x10", "= 1_0",
)  # fmt: skip


def by_astropy(text):
    """The value of a card, None for one that has none; raises what astropy raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = fits.Card.fromstring(f"SNRG    {text}".ljust(80).encode("latin-1")).value
    return None if isinstance(value, fits.card.Undefined) else value


def check(text):
    """Compare one spelling; whether it was read without astropy."""
    card = f"SNRG    {text}".ljust(80).encode("latin-1")
    try:
        ours = Cards(card)["SNRG"]
    except UnusualFits:
        return False
    if not text.startswith("= "):
        assert ours is None  # no value, the standard says; astropy reads what it can
        return True
    theirs = by_astropy(text)
    assert type(ours) is type(theirs), text
    assert ours == theirs, text
    return True


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_card_is_read_as_astropy_reads_it_or_left_to_it(text):
    check(text)


def test_damaged_cards_are_read_as_astropy_reads_them_or_left_to_it():
    rng = random.Random(5)
    n_read = 0
    for _ in range(4000):
        letters = list(rng.choice(SPELLINGS))
        for _ in range(rng.randint(0, 2)):
            letters[rng.randrange(len(letters))] = rng.choice(" '/&.+-0123456789eEdDTFx=")
        text = "".join(letters)[:72]
        if "''/" in text or "'' " in text:
            continue  # a quote within the words, by the standard; astropy ends them there
        try:
            by_astropy(text)
        except (fits.VerifyError, ValueError):
            continue  # astropy, too, gives it up
        n_read += check(text)
    assert n_read > 1000
