"""What a survey's table owes to others, as BibTeX: data, dust, zero point, methods, software.

Only what was used is named: it follows from the steps that were done, the settings and the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pandas as pd

from msfa_core import __version__
from msfa_core.config import Settings
from msfa_core.survey.folder import Survey


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry, and what it was used for."""

    key: str
    kind: str
    fields: tuple[tuple[str, str], ...]

    def bibtex(self, why: str) -> str:
        """Return the entry, below a line that says what for."""
        lines = [f"  {name} = {{{value}}}" for name, value in self.fields]
        return f"% {why}\n@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}\n"


def _article(
    key: str, author: str, title: str, journal: str, year: int, volume: str, pages: str, doi: str
) -> Reference:
    fields = {
        "author": author, "title": title, "journal": journal, "year": str(year),
        "volume": volume, "pages": pages, "doi": doi,
    }  # fmt: skip
    return Reference(key, "article", tuple((k, v) for k, v in fields.items() if v))


def _eprint(key: str, author: str, title: str, year: int, number: str) -> Reference:
    fields = {
        "author": author, "title": title, "year": str(year), "eprint": number,
        "archivePrefix": "arXiv", "doi": f"10.48550/arXiv.{number}",
    }  # fmt: skip
    return Reference(key, "misc", tuple(fields.items()))


_REFERENCES: Final = {
    one.key: one
    for one in (
        _article(
            "Cui2012", "Cui, Xiang-Qun and Zhao, Yong-Heng and Chu, Yao-Quan and others",
            "The {Large Sky Area Multi-Object Fiber Spectroscopic Telescope} ({LAMOST})",
            "Research in Astronomy and Astrophysics", 2012, "12", "1197--1242",
            "10.1088/1674-4527/12/9/003",
        ),
        _article(
            "Zhao2012", "Zhao, Gang and Zhao, Yong-Heng and Chu, Yao-Quan and others",
            "{LAMOST} spectral survey --- An overview",
            "Research in Astronomy and Astrophysics", 2012, "12", "723--734",
            "10.1088/1674-4527/12/7/002",
        ),
        _article(
            "York2000", "York, Donald G. and Adelman, J. and Anderson, Jr., John E. and others",
            "The {Sloan Digital Sky Survey}: Technical Summary",
            "The Astronomical Journal", 2000, "120", "1579--1587", "10.1086/301513",
        ),
        _article(
            "Gaia2016", "{Gaia Collaboration} and Prusti, T. and de Bruijne, J. H. J. and others",
            "The {Gaia} mission",
            "Astronomy and Astrophysics", 2016, "595", "A1", "10.1051/0004-6361/201629272",
        ),
        _article(
            "Gaia2023", "{Gaia Collaboration} and Vallenari, A. and Brown, A. G. A. and others",
            "{Gaia Data Release 3}. Summary of the content and survey properties",
            "Astronomy and Astrophysics", 2023, "674", "A1", "10.1051/0004-6361/202243940",
        ),
        _article(
            "Lindegren2021", "Lindegren, L. and Bastian, U. and Biermann, M. and others",
            "{Gaia Early Data Release 3}. Parallax bias versus magnitude, colour, and position",
            "Astronomy and Astrophysics", 2021, "649", "A4", "10.1051/0004-6361/202039653",
        ),
        _article(
            "Skrutskie2006", "Skrutskie, M. F. and Cutri, R. M. and Stiening, R. and others",
            "The {Two Micron All Sky Survey} ({2MASS})",
            "The Astronomical Journal", 2006, "131", "1163--1183", "10.1086/498708",
        ),
        _article(
            "Schlegel1998", "Schlegel, David J. and Finkbeiner, Douglas P. and Davis, Marc",
            "Maps of Dust Infrared Emission for Use in Estimation of Reddening and Cosmic "
            "Microwave Background Radiation Foregrounds",
            "The Astrophysical Journal", 1998, "500", "525--553", "10.1086/305772",
        ),
        _article(
            "Green2019", "Green, Gregory M. and Schlafly, Edward and Zucker, Catherine and others",
            "A {3D} Dust Map Based on {Gaia}, {Pan-STARRS 1}, and {2MASS}",
            "The Astrophysical Journal", 2019, "887", "93", "10.3847/1538-4357/ab5362",
        ),
        _article(
            "Green2018", "Green, Gregory M.",
            "dustmaps: A {Python} interface for maps of interstellar dust",
            "Journal of Open Source Software", 2018, "3", "695", "10.21105/joss.00695",
        ),
        _article(
            "Xue2008", "Xue, X. X. and Rix, H. W. and Zhao, G. and others",
            "The {Milky Way}'s Circular Velocity Curve to 60 kpc and an Estimate of the Dark "
            "Matter Halo Mass from the Kinematics of {$\\sim$2400} {SDSS} Blue Horizontal-Branch "
            "Stars",
            "The Astrophysical Journal", 2008, "684", "1143--1158", "10.1086/589500",
        ),
        _article(
            "Xue2011", "Xue, Xiang-Xiang and Rix, Hans-Walter and Yanny, Brian and others",
            "Quantifying Kinematic Substructure in the {Milky Way}'s Stellar Halo",
            "The Astrophysical Journal", 2011, "738", "79", "10.1088/0004-637X/738/1/79",
        ),
        _article(
            "Beers1999", "Beers, Timothy C. and Rossi, Silvia and Norris, John E. and others",
            "Estimation of Stellar Metal Abundance. {II}. A Recalibration of the {Ca II K} "
            "Technique, and the Autocorrelation Function Method",
            "The Astronomical Journal", 1999, "117", "981--1009", "10.1086/300727",
        ),
        _article(
            "Culpan2021", "Culpan, Richard and Pelisoli, Ingrid and Geier, Stephan",
            "Clean catalogues of blue horizontal-branch stars using {Gaia EDR3}",
            "Astronomy and Astrophysics", 2021, "654", "A107", "10.1051/0004-6361/202040074",
        ),
        _article(
            "Zhang2020", "Zhang, Bo and Liu, Chao and Deng, Li-Cai",
            "Deriving the Stellar Labels of {LAMOST} Spectra with the Stellar {LAbel} Machine "
            "({SLAM})",
            "The Astrophysical Journal Supplement Series", 2020, "246", "9",
            "10.3847/1538-4365/ab55ef",
        ),
        _article(
            "Harris2020", "Harris, Charles R. and Millman, K. Jarrod and others",
            "Array programming with {NumPy}", "Nature", 2020, "585", "357--362",
            "10.1038/s41586-020-2649-2",
        ),
        _article(
            "Virtanen2020", "Virtanen, Pauli and Gommers, Ralf and Oliphant, Travis E. and others",
            "{SciPy} 1.0: fundamental algorithms for scientific computing in {Python}",
            "Nature Methods", 2020, "17", "261--272", "10.1038/s41592-019-0686-2",
        ),
        _article(
            "Astropy2022", "{Astropy Collaboration} and Price-Whelan, Adrian M. and others",
            "The {Astropy Project}: Sustaining and Growing a Community-oriented Open-source "
            "Project and the Latest Major Release (v5.0) of the Core Package",
            "The Astrophysical Journal", 2022, "935", "167", "10.3847/1538-4357/ac7c74",
        ),
        _article(
            "Riello2021", "Riello, M. and De Angeli, F. and Evans, D. W. and others",
            "{Gaia Early Data Release 3}. Photometric content and validation",
            "Astronomy and Astrophysics", 2021, "649", "A3", "10.1051/0004-6361/202039587",
        ),
        _article(
            "Flewelling2020",
            "Flewelling, H. A. and Magnier, E. A. and Chambers, K. C. and others",
            "The {Pan-STARRS1} Database and Data Products",
            "The Astrophysical Journal Supplement Series", 2020, "251", "7",
            "10.3847/1538-4365/abb82d",
        ),
        _article(
            "LeBorgne2003", "Le Borgne, J.-F. and Bruzual, G. and Pell{\\'o}, R. and others",
            "{STELIB}: A library of stellar spectra at {$R \\sim 2000$}",
            "Astronomy and Astrophysics", 2003, "402", "433--442", "10.1051/0004-6361:20030243",
        ),
        _eprint(
            "Chambers2016", "Chambers, K. C. and Magnier, E. A. and Metcalfe, N. and others",
            "The {Pan-STARRS1} Surveys", 2016, "1612.05560",
        ),
        _eprint(
            "Ju2024",
            "Ju, Jie and Cui, Wenyuan and Huo, Zhenyan and Liu, Chao and Xue, Xiangxiang and "
            "Liu, Jiaming and Feng, Shuai and Sun, Mingxu and Li, Linlin",
            "Identification of Blue Horizontal-Branch Stars From {LAMOST DR5}", 2024, "2311.16430",
        ),
        _eprint(
            "MSFANet2026",
            "Bu, Yude and Kong, Xiaoming and Liang, Yuchen and Wang, Mingyuan and Ju, Jie",
            "{MSFA-Net}: An Advanced Deep Learning Model for Identifying Blue Horizontal-Branch "
            "Stars from {LAMOST DR12}", 2026, "2606.29918",
        ),
        Reference(
            "McKinney2010", "inproceedings",
            (
                ("author", "McKinney, Wes"),
                ("title", "Data Structures for Statistical Computing in {Python}"),
                ("booktitle", "Proceedings of the 9th Python in Science Conference"),
                ("year", "2010"), ("pages", "56--61"), ("doi", "10.25080/Majora-92bf1922-00a"),
            ),
        ),
        Reference(
            "Paszke2019", "inproceedings",
            (
                ("author", "Paszke, Adam and Gross, Sam and Massa, Francisco and others"),
                ("title", "{PyTorch}: An Imperative Style, High-Performance Deep Learning Library"),
                ("booktitle", "Advances in Neural Information Processing Systems 32"),
                ("year", "2019"), ("pages", "8024--8035"),
            ),
        ),
        _article(
            "Pedregosa2011", "Pedregosa, F. and Varoquaux, G. and Gramfort, A. and others",
            "Scikit-learn: Machine Learning in {Python}",
            "Journal of Machine Learning Research", 2011, "12", "2825--2830", "",
        ),
    )
}  # fmt: skip
_ORDER: Final = " (check the order of the authors: it is that of an index, not of the paper)"
_PANSTARRS: Final = tuple(f"ps_{band}_mag" for band in "grizy")
_SELECTIONS: Final = {  # references of the named D0.2-fm selections
    "xue2008": ("Xue2008",),
    "xue2011": ("Xue2011",),
    "ju2024": ("Ju2024", "Xue2008"),
}


def used(survey: Survey) -> dict[str, str]:
    """Return what a survey has used: keys of references, each with what for.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    dict of key -> words
        In the order of the journey.
    """
    table, settings = survey.table(), survey.settings_used
    steps = {entry["step"] for entry in survey.provenance}
    said: dict[str, str] = {}

    def cite(words: str, *keys: str) -> None:
        said.update({key: words for key in keys if key not in said})

    if not survey.is_simulated:
        releases = _listed(table["data_release"])
        is_sdss = table["file"].astype("str").str.contains(r"spec-\d{4,5}-\d{5}-\d{4}\.fits")
        if not bool(is_sdss.all()) or not len(table):
            named = f", {releases}" if releases else ""
            cite(f"spectra: LAMOST{named}", "Cui2012", "Zhao2012")
        if bool(is_sdss.any()):
            cite("spectra: SDSS", "York2000")
        if table["gaia_source_id"].notna().any():
            cite("astrometry and photometry: Gaia DR3", "Gaia2016", "Gaia2023")
        if table["j_mag"].notna().any():
            cite("near-infrared photometry: 2MASS", "Skrutskie2006")
        if table[list(_PANSTARRS)].notna().any(axis=None):
            cite("photometry: Pan-STARRS1", "Chambers2016", "Flewelling2020")
    if table["parallax_zero_point"].notna().any():
        cite("parallax zero point", "Lindegren2021")
    sources = set(table["ebv_source"].dropna().tolist())
    if "sfd" in sources:
        cite("reddening: map of Schlegel, Finkbeiner & Davis", "Schlegel1998")
    if "bayestar" in sources:
        cite("reddening: Bayestar", "Green2019", "Green2018")
    for words, keys in _of_steps(steps, settings):
        cite(words, *keys)
    cite("software", "Harris2020", "Virtanen2020", "Astropy2022", "McKinney2010")
    return said


def _of_steps(steps: set[str], settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what the steps owe to others: words, and keys of references."""
    if "measure" in steps:
        yield f"D0.2-fm method, selection {settings.selection}", _of_selection(settings.selection)
        yield "index KP of Ca II K", ("Beers1999",)
    if "match" in steps and (not settings.templates or settings.templates.startswith("+")):
        yield "templates: STELIB, among others", ("LeBorgne2003",)
    if "place" in steps:
        yield "trapezoid and samples of the colour-magnitude diagram", ("Culpan2021",)
        yield "corrected BP/RP flux excess", ("Riello2021",)
    if "label" in steps:
        yield "stellar labels: SLAM", ("Zhang2020", "Pedregosa2011")
    if "classify" in steps:
        yield f"search: MSFA-Net in two stages{_ORDER}", ("MSFANet2026",)
        yield "search: the library of the networks", ("Paszke2019",)


def bibtex(survey: Survey) -> str:
    """Return the bibliography of a survey's table as BibTeX, this software first.

    Parameters
    ----------
    survey : Survey
    """
    own = Reference(
        "msfa-bhb", "software",
        (
            ("author", "{The msfa-bhb developers}"),
            ("title", "msfa-bhb: find, vet and publish blue horizontal-branch stars"),
            ("year", "2026"),
            ("version", __version__),
            ("note", _weights(survey)),
        ),
    )  # fmt: skip
    parts = [own.bibtex("this software")]
    parts += [_REFERENCES[key].bibtex(words) for key, words in used(survey).items()]
    for words in _without_entry(survey):
        parts.append(f"% {words}\n")
    return "\n".join(parts)


def _of_selection(selection: str) -> tuple[str, ...]:
    return _SELECTIONS.get(selection, ("Xue2008",))


def _without_entry(survey: Survey) -> list[str]:
    """Return what has to be cited by hand: tables that the user gave."""
    lines = []
    for entry in survey.provenance:
        if entry["step"] == "table" and entry.get("use") != "decisions":
            lines.append(f"cite the source of your table {entry['name']} ({entry['use']})")
    return list(dict.fromkeys(lines))


def _listed(values: pd.Series) -> str:
    return ", ".join(sorted(set(values.dropna().astype("str")) - {""}))


def _weights(survey: Survey) -> str:
    """Return which weights classified it, as provenance names them."""
    named = [str(one["weights"]) for one in survey.provenance if one.get("weights")]
    return f"weights {named[-1]}" if named else "no weights used"
