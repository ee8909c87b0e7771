"""A real JupyterLab in its own process, with settings of nobody, and a notebook open in it."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from served_dashboard import ROOT, START_SECONDS, free_port

READY = ".jp-StatusBar-Widget :text('| Idle')"  # the kernel has told the page that it waits
QUIET = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false"}}


def _notebook(sources):
    cells = [
        {
            "cell_type": "code", "id": f"cell-{number}", "source": source,
            "metadata": {}, "outputs": [], "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@contextmanager
def jupyter_lab(folder):
    """JupyterLab in a folder, as long as the block runs; gives its address."""
    own = folder / ".jupyter"
    for name, settings in QUIET.items():
        file = own / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    places = {
        "JUPYTER_CONFIG_DIR": own / "config", "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": own / "run", "JUPYTERLAB_SETTINGS_DIR": own / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": own / "spaces", "IPYTHONDIR": own / "ipython",
    }  # fmt: skip
    port, log = free_port(), folder / "jupyter.log"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=test"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {name: str(place) for name, place in places.items()}
            | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(f"{address}/api?token=test"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"JupyterLab did not answer:\n{log.read_text()}")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(address):
    try:
        with urlopen(address, timeout=5):
            return True
    except (URLError, OSError):
        return False


class Notebook:
    """A notebook in a page of JupyterLab, whose kernel waits."""

    def __init__(self, browser, address, folder, sources):
        (folder / "vet.ipynb").write_text(json.dumps(_notebook(sources)))
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        self.page = context.new_page()
        self.page.goto(f"{address}/lab/tree/vet.ipynb?token=test", timeout=120_000)
        self.page.locator(READY).wait_for(timeout=120_000)

    @property
    def cells(self):
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def cell(self, number):
        return self.cells.nth(number)

    def editor(self, number):
        return self.cell(number).locator(".jp-Editor .cm-content")

    def output(self, number):
        return self.cell(number).locator(".jp-OutputArea-output")

    def run(self, number):
        """Run a cell as a hand does, and wait until it has run."""
        cell = self.cell(number)
        before = self._count(cell)
        self.editor(number).click()
        self.page.keyboard.press("Control+Enter")
        prompt = cell.locator(".jp-InputPrompt")
        self.page.wait_for_function(
            "([element, before]) => /\\[\\d+\\]/.test(element.textContent)"
            " && element.textContent !== before",
            arg=[prompt.element_handle(), before],
            timeout=120_000,
        )
        return cell

    def _count(self, cell):
        return cell.locator(".jp-InputPrompt").text_content()
