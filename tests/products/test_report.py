"""The report tells what a survey holds; no text breaks out of it, nothing lacks silently."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from small_survey import make_small_survey

from msfa_core.errors import ExportError
from msfa_core.flags import LabelFlag
from msfa_core.products.report import gather, write_figures, write_page, write_pdf
from msfa_core.products.report.page import page_html
from msfa_core.products.report.paper import _example, _StarSheet
from msfa_core.products.report.star_by_star import SMALL
from msfa_core.survey.figures.judged import agreement, reliability
from msfa_core.survey.folder import Survey
from msfa_core.vetting.decision import Decision, Verdict

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)> $x_1$"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A survey with eight accepted stars, two reviewers, and a comment that means harm."""
    made = make_small_survey(tmp_path_factory.mktemp("report") / "S")
    table = made.table()
    first = table[table["is_candidate"]].drop_duplicates("uid").head(10)
    with made.store() as store:
        for k, (_, row) in enumerate(first.iterrows()):
            star = (int(row["obsid"]), str(row["uid"]))
            store.append_decision(Decision(*star, Verdict.ACCEPT, "Ann", comment=HOSTILE))
            if k < 4:
                says = Verdict.REJECT if k < 2 else Verdict.ACCEPT
                seen = ("cosmic ray", "<i>sky</i>") if k == 3 else ()
                store.append_decision(Decision(*star, says, "<b>Bob</b>", issue_flags=seen))
    return made


@pytest.fixture(scope="module")
def told(survey):
    return gather(survey)


class Page(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def data_of(text):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]
    )


def test_every_accepted_star_has_a_section_a_row_and_its_numbers(survey, told):
    table = survey.table_with_verdicts()
    accepted = table[(table["verdict"] == "accept").fillna(False)]
    assert told.why_none == ""
    assert {star.name for star in told.stars} == set(accepted["uid"])
    page = Page(page_html(told))
    sections = [dict_["id"] for tag, dict_ in page.tags if tag == "article"]
    links = {dict_["href"] for tag, dict_ in page.tags if tag == "a"}
    assert sections == [f"s{star.obsid}" for star in told.stars]
    assert {f"#{name}" for name in sections} <= links
    numbers = data_of(page_html(told))["stars"]
    rows = table.set_index("obsid")
    for one, star in zip(numbers, told.stars, strict=True):
        assert one["id"] == str(star.obsid)  # more digits than a browser's numbers hold
        assert one["v"]["teff"] == pytest.approx(rows.loc[star.obsid, "teff"], rel=1e-5)
        assert len(star.epochs) == (table["uid"] == star.name).sum()


def test_a_spectrum_comes_back_from_the_page_as_it_was(survey, told):
    import base64

    star = told.stars[0]
    one = data_of(page_html(told))["stars"][0]["flux"]
    steps = np.frombuffer(base64.b64decode(one["y"]), "<u2").astype(float)
    flux = np.where(steps == 65535, np.nan, one["low"] + steps / 65534 * (one["high"] - one["low"]))
    wavelength = 10 ** (one["first"] + 1e-4 * np.arange(len(flux)))
    spectra = survey.spectra([star.obsid])
    rest = spectra.wavelength / (1 + spectra.z[0])
    shown = (rest >= 3750) & (rest <= 7000)
    np.testing.assert_allclose(wavelength, rest[shown], rtol=1e-9)
    true = np.where(spectra.mask[0], np.nan, spectra.flux[0])[shown]
    true = true / np.nanmedian(true)
    inside = (true > one["low"]) & (true < one["high"])
    assert inside.mean() > 0.98
    np.testing.assert_allclose(flux[inside], true[inside], atol=1e-4)
    assert (np.isnan(flux) == np.isnan(true)).all()


def test_a_probability_is_all_or_nothing_only_where_it_is(told):
    star = told.stars[0]
    for p, words in ((0.99996, "1−4e-5"), (0.0002, "&lt;0.001"), (0.87, "0.870")):
        known = replace(star, row=star.row.copy())
        known.row["p_bhb"] = p
        page = page_html(replace(told, stars=(known,)))
        assert page.count(f"<td>{words}</td>") >= 2
        assert ">1.0000<" not in page


def test_an_epoch_without_a_velocity_gets_none_from_its_header(told):
    star = next(one for one in told.stars if len(one.epochs) > 1)
    epochs = star.epochs.assign(epoch_rv=[-100.0, np.nan] + [-101.0] * (len(star.epochs) - 2))
    page = page_html(replace(told, stars=(replace(star, epochs=epochs.assign(z=0.001)),)))
    assert "<td>−100</td>" in page
    assert "<td>+300</td>" not in page  # velocities of headers have another zero point
    page = page_html(
        replace(told, stars=(replace(star, epochs=epochs.assign(z=0.001, epoch_rv=np.nan)),))
    )
    assert page.count("<td>+300</td>") == len(epochs)
    assert "RV of headers, km/s" in page


def test_a_label_on_the_edge_of_the_training_set_is_called_a_limit(told):
    star = told.stars[0]
    row = star.row.copy()
    row["feh"], row["feh_err"], row["label_flags"] = -3.0, np.nan, int(LabelFlag.AT_EDGE)
    assert "<td>−3.00 (a limit)</td>" in page_html(replace(told, stars=(replace(star, row=row),)))
    row["label_flags"] = 0
    assert "(a limit)" not in page_html(replace(told, stars=(replace(star, row=row),)))


def test_the_table_of_verdicts_names_the_issues_that_a_reviewer_saw(told):
    words = Page(page_html(told)).words
    assert words.count("issues") == sum(len(star.decisions) > 0 for star in told.stars)
    assert words.count("cosmic ray, <i>sky</i>") == 1


def test_hostile_text_stays_text_and_nothing_is_asked_for(told):
    text = page_html(told)
    page = Page(text)
    assert sum(HOSTILE in words for words in page.words) == len(
        [1 for star in told.stars for comment in star.decisions["comment"] if comment]
    )
    assert [tag for tag, _ in page.tags].count("script") == 2  # the numbers, and what draws them
    assert "img" not in {tag for tag, _ in page.tags}
    asked = [
        value
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action") and not value.startswith("#")
    ]
    assert asked == ["data:,"]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy.split("style-src")[0]


def test_a_simulated_survey_says_so_wherever_a_reader_looks(told):
    text = page_html(told)
    assert f"<title>SIMULATED: {told.words} of " in text
    assert "These stars do not exist" in text
    assert text.count('<b class="tag">SIMULATED</b>') == len(told.stars)


def test_the_funnel_and_the_rules_stand_beside_the_paper(told):
    words = " ".join(Page(page_html(told)).words)
    for said in ("37,441", "3,583", "54.0 %", "S/N(g) > 10", "p_bhb ≥ 0.5", "17 ≤ D0.2 ≤ 28.5 Å"):
        assert said in words


def test_agreement_is_counted_on_stars(survey):
    agreed = agreement(survey)
    assert agreed.n_by_reviewer == {"Ann": 10, "<b>Bob</b>": 4}
    (pair,) = agreed.pairs
    assert (pair.n, int(pair.matrix.loc["accept", "reject"])) == (4, 2)
    assert "2 reviewers" in agreed.sentence
    assert agreed.sentence.endswith("of 4 stars, too few to tell.")


def test_one_kappa_of_two_reviewers_is_told_wherever_the_page_tells_of_agreement(survey, told):
    (pair,) = agreement(survey).pairs
    said = f"{pair.kappa:.2f}".replace("-", "−")
    assert dict(told.facts)["agreement κ"] == said
    assert any(f"Cohen's κ = {said}" in sentence for sentence in told.summary)


def test_a_probability_that_means_what_it_says_lies_on_the_line():
    import pandas as pd

    rng = np.random.default_rng(3)
    p = rng.uniform(0, 1, 20_000)
    kind = np.where(rng.uniform(size=p.size) < p, "BHB", "A")
    table = pd.DataFrame({"p_bhb": p, "true_class": kind, "verdict": pd.NA})
    panel = reliability(table)
    off = np.abs(panel.chosen.x - panel.chosen.y)
    assert (off < 4 * panel.chosen.y_err.min(axis=1)).all() and len(off) == 10
    assert "truth" in panel.sentence


def test_no_share_of_stars_is_said_to_be_beyond_all_or_none():
    import pandas as pd

    table = pd.DataFrame({"p_bhb": [0.05, 0.95], "true_class": ["A", "BHB"], "verdict": pd.NA})
    points = reliability(table).chosen
    ends = points.y[:, None] + points.y_err * [-1, 1]
    assert ends == pytest.approx(np.array([[0.0, 0.5], [0.5, 1.0]]), abs=1e-4)  # of one spectrum


def test_without_a_truth_the_reviewers_are_the_judges(survey):
    table = survey.table_with_verdicts()
    assert "reviewers" in reliability(table).sentence
    assert "Neither" in reliability(table.assign(verdict=None)).missing


def test_a_survey_with_nothing_in_it_has_a_report_that_says_so(tmp_path):
    empty = gather(Survey.create(tmp_path / "empty"))
    text = page_html(empty)
    assert "holds no spectrum yet" in text and "msfa ingest" in text
    assert all(panel.missing for panel in empty.panels.values())
    assert "SIMULATED" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_a_survey_without_gaia_says_why_a_figure_lacks(tmp_path):
    made = make_small_survey(tmp_path / "S", n_stars=6)
    table = made.table()
    gone = {name: np.nan for name in ("bp_rp", "abs_mag_g", "teff", "logg", "feh")}
    made.write_table(table.assign(**gone))
    told = gather(made, "candidates")
    assert "--gaia" in told.panels["cmd"].missing and "label" in told.panels["kiel"].missing
    text = page_html(told)
    assert "msfa place" in text and 'data-panel="cmd"' not in text
    assert len(told.stars) and told.panels["d02_fm_hdelta"].missing == ""


def test_without_verdicts_the_page_says_what_to_do(tmp_path):
    told = gather(make_small_survey(tmp_path / "S", n_stars=6))
    assert not told.stars and "--candidates" in told.why_none
    assert told.why_none.split(":")[0] in page_html(told)


def test_no_file_is_replaced_unasked_and_names_are_held_to(told, tmp_path):
    out = write_page(told, tmp_path / "S.html")
    before = out.read_bytes()
    with pytest.raises(ExportError, match="--overwrite"):
        write_page(told, out)
    with pytest.raises(ExportError, match=r"\.html"):
        write_page(told, tmp_path / "S.htm")
    with pytest.raises(ExportError, match="no folder"):
        write_page(told, tmp_path / "none" / "S.html")
    with pytest.raises(ExportError, match="unknown choice"):
        gather(tmp_path, "nice")
    assert out.read_bytes() == before


def test_the_pdf_has_a_page_per_star_after_the_figures(told, tmp_path):
    few = replace(told, stars=told.stars[:2])
    content = write_pdf(few, tmp_path / "S.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 1 + 3 + 2
    assert b"SIMULATED" in content  # of its title


def test_a_page_keeps_nothing_of_the_star_before_it(told):
    """The sheet is laid out once: what is drawn on it is all of one star."""

    def drawn(*stars):
        sheet = _StarSheet(told, {key: told.panels[key] for key in SMALL})
        for star in stars:
            figure = sheet.page(star)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())

    first, second = told.stars[:2]
    bare = replace(second, picture=None)
    alone = drawn(second)
    assert np.array_equal(drawn(first, bare, second), alone)
    assert not np.array_equal(drawn(first), alone)
    assert np.array_equal(drawn(first, bare), drawn(bare))
    sheet = _StarSheet(told, {key: told.panels[key] for key in SMALL})
    nowhere = [words for *_, words in sheet._rings]
    elsewhere = first.row.copy()
    elsewhere["obsid"] = -5
    sheet.page(replace(first, row=elsewhere))
    assert len(nowhere) == 3 and all(words.get_visible() for words in nowhere)
    sheet.page(first)
    assert not nowhere[0].get_visible()


def test_the_example_of_a_fit_is_one_without_flags(told):
    def star(obsid, flags):
        row = told.stars[0].row.copy()
        row[["obsid", "balmer_flags_hdelta", "balmer_flags_hgamma"]] = (obsid, *flags)
        return replace(told.stars[0], row=row)

    doubted, good = star(1, (2, 0)), star(2, (0, 0))
    assert _example([doubted, good]) is good
    assert _example([doubted]) is doubted
    assert _example([replace(good, picture=None)]) is None


def test_the_figures_of_the_paper_are_written_in_both_formats(told, tmp_path):
    names = {path.name for path in write_figures(told, tmp_path / "figures")}
    for figure in ("figure2_line_fits", "figure3_d02_fm", "figure4_labels", "figure5_cmd"):
        assert {f"{figure}.png", f"{figure}.pdf"} <= names
    assert (tmp_path / "figures" / "figure3_d02_fm.pdf").read_bytes().startswith(b"%PDF")
