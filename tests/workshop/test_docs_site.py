"""Documents and library make a site: no link leads nowhere, nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("mkdocs", reason="the site needs the extra docs")

from msfa_core.workshop.docs_site import PAGES, folders  # noqa: E402

LOADED = re.compile(
    r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(https?://[^\"]*)\""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr  # a warning fails it (strict)
    return folder


def page(site, name):
    name = name.removesuffix(".md").removesuffix("index")
    return (site / name / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_document_and_every_folder_of_the_library_has_a_page(site):
    documents = {path.name for path in (ROOT / "data" / "docs").glob("*.md")} - {"README.md"}
    for name in sorted(documents | set(PAGES.values())):
        assert "<h1" in page(site, name), name
    packages = {path.parent.name for path in (ROOT / "msfa_core").glob("*/__init__.py")}
    assert set(folders()) == packages
    for name in folders():
        assert f"msfa_core.{name}" in page(site, f"library/{name}"), name
    assert "Sérsic absorption profile" in page(site, "library/balmer")


@pytest.mark.slow
def test_links_between_files_are_links_between_pages_and_nothing_is_fetched(site):
    assert 'href="first_night/"' in page(site, "index")
    assert 'src="figures/dashboard-light.png"' in page(site, "index")
    assert (site / "figures" / "dashboard-light.png").stat().st_size > 10_000
    assert "../figures/template-confidence.png" in page(site, "how_good")
    for path in site.rglob("*.html"):
        assert LOADED.findall(path.read_text(encoding="utf-8")) == [], path
