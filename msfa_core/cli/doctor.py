"""``msfa doctor``: what this installation has, what it lacks, and how to add it."""

from __future__ import annotations

import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from msfa_core import DISTRIBUTION, __version__
from msfa_core.cli.app import app
from msfa_core.errors import MsfaError

LEAST_DISK: Final = 2.0  # GB: an archive of 50,000 spectra
TRIED: Final = 128  # spectra that a plan is measured on
NIGHT: Final = 12.0  # h that a run may take unwatched
FEATURES: Final = {  # of the processor, by LLVM's names: what they speed up
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512bf16": "16-bit matrix products",
    "amx-bf16": "16-bit matrix units",
    "neon": "NEON",
}
REFERENCE: Final = (
    *("calcium_loci.csv", "helium_lines.csv", "metal_lines.csv", "model_grid.npz"),
    *("sky_residuals.csv", "temperature_correction.csv", "zahb_cmd.csv"),
)
TEMPLATES: Final = ("templates.npz", "confidence.json", "probability.json")


class Finding(NamedTuple):
    """A line of the report.

    Attributes
    ----------
    tone : str
        ``ok``; ``--`` for what may be missing; ``!!`` for what must be mended.
    words : str
    """

    tone: str
    words: str


@app.command()
def doctor(
    survey: Annotated[
        Path | None, typer.Argument(help="A survey to look at too.", show_default=False)
    ] = None,
    plan: Annotated[
        int, typer.Option(help="Say what so many spectra would cost here, measured on a few.")
    ] = 0,
) -> None:
    """Say what this installation has, what is missing and how to add it."""
    if plan < 0:
        raise typer.BadParameter("Give the number of spectra that are planned.")
    system = f"Python {platform.python_version()} · {platform.system()} {platform.machine()}"
    print(f"msfa {__version__} · {system}")
    is_well = True
    for title, findings in (
        ("packages", packages()),
        ("files that come with the software", shipped_files()),
        ("processor", processor()),
        ("kernels", kernels()),
        ("place", place(Path.cwd() if survey is None else survey)),
        *(((f"survey {survey}", of_survey(survey)),) if survey is not None else ()),
        *(((f"plan for {plan:,} spectra", costs(plan)),) if plan else ()),
    ):
        print(f"\n{title}")
        for tone, words in findings:
            is_well = is_well and tone != "!!"
            print(f"  {tone}  {words}")
    if not is_well:
        raise MsfaError("something must be mended: see the lines that begin with !! above.")


def packages() -> Iterator[Finding]:
    """Compare what is installed with what the software asks for."""
    from packaging.requirements import Requirement  # noqa: PLC0415 (the doctor alone needs it)

    try:
        wanted = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        yield Finding("!!", f"{DISTRIBUTION} is not installed here: pip install --editable .")
        return
    good = []
    for one in sorted(wanted, key=lambda one: one.name.lower()):
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(one.name)
        except PackageNotFoundError:
            yield Finding("!!", f"{one.name} is missing: pip install '{one.name}{one.specifier}'")
            continue
        if one.specifier.contains(found, prereleases=True):
            good.append(f"{one.name} {found}")
        else:
            yield Finding(
                "!!",
                f"{one.name} {found} is not {one.specifier}: "
                f"pip install '{one.name}{one.specifier}'",
            )
    for k in range(0, len(good), 5):
        yield Finding("ok", " · ".join(good[k : k + 5]))
    try:
        yield Finding("ok", f"psycopg {version('psycopg')}, for decisions in PostgreSQL")
    except PackageNotFoundError:
        yield Finding(
            "--", f"psycopg, for decisions in PostgreSQL: pip install '{DISTRIBUTION}[postgres]'"
        )


def shipped_files() -> Iterator[Finding]:
    """Compare weights and the model of the labels with their checksums; look for other files."""
    from msfa_core.networks.weights import read_checksums, sha256_of  # noqa: PLC0415 (torch)
    from msfa_core.shipped import shipped  # noqa: PLC0415
    from msfa_core.slam.model import MODEL_FILE, SlamModel  # noqa: PLC0415

    try:
        wanted = read_checksums(shipped("models"))
    except MsfaError as error:
        yield Finding("!!", str(error))
        wanted = {}
    good = 0
    for name, digest in wanted.items():
        path = shipped("models", name)
        if not path.is_file():
            yield Finding("!!", f"{path} is missing: restore it")
        elif sha256_of(path) != digest:
            yield Finding("!!", f"{path} is not the file that was shipped: restore it")
        else:
            good += 1
    try:
        SlamModel.load(shipped("models", MODEL_FILE))
        good += 1
    except MsfaError as error:
        yield Finding("!!", str(error))
    others = [shipped("reference", name) for name in REFERENCE]
    others += [shipped("templates", name) for name in TEMPLATES]
    missing = [path for path in others if not path.is_file()]
    for path in missing:
        yield Finding("!!", f"{path} is missing: restore it")
    there = len(others) - len(missing)
    yield Finding("ok", f"{good} files of weights as shipped; {there} other files there")


def processor() -> Iterator[Finding]:
    """Say how many cores there are, what they can, and how many threads are allowed."""
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name  # noqa: PLC0415

    from msfa_core.machine.parallel import THREADS, n_cores  # noqa: PLC0415

    has = get_host_cpu_features()
    can = [words for name, words in FEATURES.items() if has.get(name)]
    yield Finding("ok", f"{n_cores()} cores · {get_host_cpu_name()} · {', '.join(can) or 'plain'}")
    chosen = [f"{name}={os.environ[name]}" for name in THREADS if os.environ.get(name)]
    yield Finding("ok", f"threads: {', '.join(chosen) or 'one in each worker process'}")


def kernels() -> Iterator[Finding]:
    """Say whether compiled kernels are kept, and compile those that are not."""
    import time  # noqa: PLC0415

    from msfa_core.spine.ready import compile_kernels, kernels_kept_in  # noqa: PLC0415

    began = time.process_time()
    try:
        compile_kernels()
    except MsfaError as error:
        yield Finding("!!", str(error))
        return
    seconds = time.process_time() - began
    folder, is_kept = kernels_kept_in()
    if is_kept:
        yield Finding("ok", f"ready after {seconds:.1f} s of CPU; kept in {folder}")
    else:
        yield Finding(
            "--",
            f"ready after {seconds:.1f} s of CPU, but not kept: {folder} cannot be written; "
            "set NUMBA_CACHE_DIR to a folder that can",
        )


def place(folder: Path) -> Iterator[Finding]:
    """Say how much room there is, and whether files can be written."""
    there = folder if folder.is_dir() else folder.parent
    if not there.is_dir():
        yield Finding("!!", f"{folder}: there is no such folder")
        return
    free = shutil.disk_usage(there).free / 1e9
    tone = "ok" if free >= LEAST_DISK else "!!"
    yield Finding(tone, f"{free:.1f} GB free in {there.resolve()}")
    if not os.access(there, os.W_OK):
        yield Finding("!!", f"{there.resolve()} cannot be written by this user")
    if (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8":
        yield Finding("--", f"the terminal speaks {sys.stdout.encoding}: set PYTHONUTF8=1")


def of_survey(path: Path) -> Iterator[Finding]:
    """Open a survey, its table and its decisions."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    try:
        survey = Survey.open(path)
        rows = len(survey.table())
        with survey.store() as store:
            damage, n = store.damage(), len(store.decisions())
    except MsfaError as error:
        yield Finding("!!", str(error))
        return
    yield Finding("ok", f"{rows:,} spectra; selection {survey.settings_used.selection}")
    for line in damage:
        yield Finding("!!", f"decisions: {line}")
    if not damage:
        yield Finding("ok", f"{n:,} decisions and withdrawals, their database sound")


def costs(n: int, n_tried: int = TRIED) -> Iterator[Finding]:
    """Say what a run on this many spectra costs, from one on a few that are simulated for it.

    Parameters
    ----------
    n : int
        Spectra planned.
    n_tried : int
        Spectra simulated: stars of classes and S/N as on the sky.
    """
    from msfa_core.machine.parallel import n_cores  # noqa: PLC0415
    from msfa_core.simulate.filling import simulate  # noqa: PLC0415
    from msfa_core.simulate.survey import SurveyPlan  # noqa: PLC0415
    from msfa_core.spine.run import run  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="msfa-plan-") as folder:
        survey = Survey.create(Path(folder) / "few", simulated=True)
        few = SurveyPlan(n_tried, seed=5, shares="sky", snr="lamost", chunk=n_tried)
        simulate(survey, few, workers=1)
        held = _bytes(survey.path)
        run(survey, workers=1)  # what is loaded and made once is no cost of a spectrum
        results = _bytes(survey.path) - held
        began = _cpu()
        report = run(survey, workers=1, force=True)
        each = (_cpu() - began) / report.n_spectra
    seconds = sum(step.seconds for step in report.steps) or 1.0
    dear = sorted(report.steps, key=lambda step: -step.seconds)[:3]
    parts = ", ".join(f"{step.step} {100 * step.seconds / seconds:.0f} %" for step in dear)
    hours, cores = n * each / 3600, n_cores()
    yield Finding("ok", f"{1e3 * each:.0f} ms of a core each ({parts}), measured on {n_tried}")
    yield Finding("ok", f"{hours:,.1f} core hours: {hours / cores:,.1f} h on {cores} cores here")
    archive, table = (n * size / report.n_spectra / 1e9 for size in (held, results))
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding(
        "ok" if free > archive + table else "--",
        f"{archive:,.1f} GB of archive and {table:,.1f} GB of results; {free:,.1f} GB free here",
    )
    if hours / cores > NIGHT:
        needed = math.ceil(hours / NIGHT)
        there = "see msfa run --scheduler in data/docs/commands.md"
        yield Finding("--", f"overnight on {needed} cores: {there}")


def _cpu() -> float:
    """Return the time that processors spent on this process and on those that it started [s]."""
    return sum(os.times()[:4])


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
