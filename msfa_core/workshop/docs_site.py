"""The documents as a site: what stands outside their folder joins them, and a page per folder.

`mkdocs.yml` names this module as a hook. README, changelog, cards and pictures stay where readers
of the repository look for them; here their links are turned to where they stand on the site. The
pages of the library are made of its docstrings, in the order of `msfa_core`'s table of contents.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

import msfa_core

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = "data/docs/"  # of the repository: the root of the site
PAGES: Final = {  # of the repository, and of the site
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "data/README.md": "data.md",
    "data/models/MODEL_CARD.md": "models/MODEL_CARD.md",
    "data/models/SLAM_CARD.md": "models/SLAM_CARD.md",
    "data/models/EXPERIMENTS.md": "models/EXPERIMENTS.md",
}
PICTURES: Final = ("data/figures/*.png", "data/models/*.png")
LIBRARY: Final = "As a library"
_LINK: Final = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_config(config: Any) -> Any:
    """Put the pages of the library behind those that are written by hand."""
    config["nav"] = [*config["nav"], {LIBRARY: [{name: _page_of(name)} for name in folders()]}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what stands outside the folder of the documents."""
    for source, place in PAGES.items():
        text = _on_site((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, place, content=text))
    for pattern in PICTURES:
        for path in sorted(ROOT.glob(pattern)):
            place = _place_of(path.relative_to(ROOT).as_posix())
            files.append(File.generated(config, place, content=path.read_bytes()))
    for name in folders():
        files.append(File.generated(config, _page_of(name), content=library_page(name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a document that is written for the repository."""
    path = Path(page.file.abs_src_path or "")
    is_document = path.is_relative_to(ROOT / DOCS)
    return _on_site(markdown, f"{DOCS}{page.file.src_uri}") if is_document else markdown


def folders() -> list[str]:
    """Names of the folders of `msfa_core`, in the order of its table of contents."""
    return re.findall(r"^  (\w+)  ", str(msfa_core.__doc__), re.MULTILINE)


def library_page(folder: str) -> str:
    """Return a page that mkdocstrings fills: the folder's sentence, and each of its modules."""
    page = f"# msfa_core.{folder}\n\n::: msfa_core.{folder}\n"
    for path in sorted((ROOT / "msfa_core" / folder).rglob("*.py")):
        if not path.stem.startswith("_"):
            module = ".".join(path.relative_to(ROOT / "msfa_core").with_suffix("").parts)
            page += f"\n## {module}\n\n::: msfa_core.{module}\n    options:\n"
            page += "      heading_level: 3\n"
    return page


def _page_of(folder: str) -> str:
    return f"library/{folder}.md"


def _place_of(source: str) -> str:
    """Return where a file of the repository stands on the site."""
    if source in PAGES:
        return PAGES[source]
    if source.startswith(DOCS):
        return source.removeprefix(DOCS)
    return source.removeprefix("data/")


def _on_site(text: str, source: str) -> str:
    """Turn the links of a document, from between files to between pages."""
    here = posixpath.dirname(_place_of(source))

    def turned(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        place = posixpath.relpath(_place_of(target), here or ".")
        return f"{found[1]}{place}{found[3]}"

    return _LINK.sub(turned, text)
