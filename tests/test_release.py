"""Wheel and sdist work outside the clone."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from served_dashboard import free_port

ROOT = Path(__file__).resolve().parents[1]


def said_by(command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with the wheel that was built from the sdist; its libraries are borrowed."""
    work = tmp_path_factory.mktemp("release")
    clone, out = work / "clone", work / "dist"
    listed = said_by(["git", "ls-files"], cwd=ROOT).splitlines()
    for name in listed:
        if (
            not name.startswith(("tests/", "notebooks/", "data/figures/"))
            and (ROOT / name).exists()
        ):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    out.mkdir()
    build = (
        "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
    )
    said_by([sys.executable, "-c", build, "build_sdist", out], cwd=clone)
    with tarfile.open(next(out.glob("*.tar.gz"))) as sdist:
        sdist.extractall(work, filter="data")
    unpacked = next(work.glob("msfa_bhb-*"))
    said_by([sys.executable, "-c", build, "build_wheel", out], cwd=unpacked)
    said_by([sys.executable, "-m", "venv", "--without-pip", work / "venv"])
    python = work / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    said_by([*pip, "--no-index", "--no-compile", next(out.glob("*.whl"))])
    packages = "import sysconfig; print(sysconfig.get_path('purelib'))"
    borrowed = said_by([sys.executable, "-c", packages]).strip()
    own = Path(said_by([python, "-c", packages]).strip())
    (own / "borrowed.pth").write_text(borrowed + "\n")  # its own .pth files are not read
    lend_kernels(own)
    return work


def lend_kernels(own):
    """Lend the kernels that were compiled here: to compile the same files again takes a minute.

    They count for a file of the same time and length; what is not there, or of another file, is
    compiled as anywhere else.
    """
    for kept in ROOT.glob("msfa_core/**/__pycache__/*.nb[ic]"):
        source = kept.parents[1] / f"{kept.name.split('.')[0]}.py"
        twin = own / source.relative_to(ROOT)
        if twin.read_bytes() == source.read_bytes():
            os.utime(twin, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
            (twin.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy(kept, twin.parent / "__pycache__")


def test_wheel_and_sdist_work_outside_the_clone(installed):
    where = installed / "elsewhere"
    where.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MSFA_")},
        "MSFA_DEMO": str(where / "demo"),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("PYTHONPATH", None)
    msfa = installed / "venv" / "bin" / "msfa"

    def run(*arguments):
        return said_by([msfa, *arguments], cwd=where, env=environment)

    python = installed / "venv" / "bin" / "python"
    found = "import msfa_core, dashboard; print(msfa_core.__file__, dashboard.__file__)"
    for path in said_by([python, "-c", found], cwd=where, env=environment).split():
        assert Path(path).is_relative_to(installed / "venv")
    doctor = run("doctor")
    assert "!!" not in doctor
    assert "files of weights as shipped" in doctor
    assert "SIMULATED stars S" in run("demo", "S", "--stars", "10", "--quiet")
    assert "candidates" in run("run", "S", "--quiet")
    port = free_port()
    server = subprocess.Popen(
        [str(msfa), "serve", "S", "--port", str(port)], cwd=where, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert "<title>BHB vetting</title>" in page_of(port)
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)


def page_of(port):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urlopen(f"http://localhost:{port}/dashboard", timeout=60) as answer:
                return answer.read().decode()
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError("the installed dashboard did not answer")
