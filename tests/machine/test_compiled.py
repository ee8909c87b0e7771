"""Kernels are compiled, and compiled anew when a kernel that they call has changed."""

import importlib.util
import sys

import numpy as np
import pytest

from msfa_core.machine import compiled as compiling
from msfa_core.machine.compiled import compiled

CALLEE = (
    "from msfa_core.machine.compiled import compiled\n@compiled\ndef step(x):\n    return x + {}\n"
)
CALLER = (
    "from callee import step\nfrom msfa_core.machine.compiled import compiled\n"
    "@compiled\ndef twice(x):\n    return step(step(x))\n"
)


def load(folder, name):
    """Import a module afresh, as another process would."""
    compiling._digest.cache_clear()
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("callee", "caller"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "caller.py").write_text(CALLER)
    return tmp_path


def test_compiled_code_on_disk_is_outdated_by_any_module_of_its_folder(folder):
    for step in (1.0, 10.0):
        (folder / "callee.py").write_text(CALLEE.format(step))
        load(folder, "callee")
        assert load(folder, "caller").twice(0.0) == 2 * step


def test_compiled_code_is_found_again(folder):
    (folder / "callee.py").write_text(CALLEE.format(1.0))
    load(folder, "callee")
    assert load(folder, "caller").twice(0.0) == 2.0
    again = load(folder, "caller").twice
    assert again(0.0) == 2.0
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_kernel_compiles_where_no_cache_can_be_written(monkeypatch):
    def nowhere(*_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiling, "_kernel_cache", lambda: nowhere)
    double = compiled(lambda x: 2.0 * x)
    assert double(3.0) == 6.0


@compiled(part=True)
def tripled(x):
    return 3.0 * x


@compiled(part=True)
def sixfold(x):
    return tripled(x) + tripled(x)


@compiled
def first_sixfold(values):
    return sixfold(values[0])


def test_a_part_works_in_kernels_at_any_depth_and_python_is_refused():
    assert first_sixfold(np.array([7.0])) == 42.0
    with pytest.raises(TypeError, match="tripled is compiled as part of other kernels"):
        tripled(1.0)
    with pytest.raises(TypeError, match="sixfold"):
        sixfold(1.0)


def test_a_part_changed_in_another_module_outdates_its_callers(folder):
    part = CALLEE.replace("@compiled", "@compiled(part=True)")
    for step in (1.0, 10.0):
        (folder / "callee.py").write_text(part.format(step))
        load(folder, "callee")
        assert load(folder, "caller").twice(0.0) == 2 * step
    again = load(folder, "caller").twice
    assert again(0.0) == 20.0
    assert sum(again.stats.cache_hits.values()) == 1


def test_each_kernel_is_asked_for_one_kind_of_arrays_alone(tmp_path, monkeypatch):
    """Another version of a kernel, for arrays of another kind, costs seconds at a first start."""
    from collections import defaultdict

    import numba

    from msfa_core.balmer import fit_lines, indices, kernel
    from msfa_core.simulate.instrument import as_spectrum_list
    from msfa_core.simulate.survey import SurveyPlan, simulate_chunk
    from msfa_core.spine.ready import some_spectrum
    from msfa_core.survey.folder import Survey
    from msfa_core.survey.ingest import store
    from msfa_core.templates import match, matching, refining, shift_errors

    asked = defaultdict(set)

    def noting(name, function):
        def call(*given):
            asked[name].add(tuple(str(numba.typeof(one)) for one in given))
            return function(*given)

        return call

    kernels = [(kernel, "measure_rows"), (indices, "_measure_bands")]
    kernels += [(matching, name) for name in ("bin_products", "solve_cells")]
    kernels += [(refining, "knot_sums"), (refining, "solve_each")]
    kernels += [(shift_errors, "products"), (shift_errors, "solve")]
    for module, name in kernels:
        monkeypatch.setattr(module, name, noting(name, getattr(module, name)))
    survey = Survey.create(tmp_path / "S")
    spectra, truth = simulate_chunk(SurveyPlan(18, seed=4, chunk=18), 0)
    store(survey, as_spectrum_list(spectra, truth))
    batch = survey.spectra(survey.obsid)
    assert len(batch) > 16  # of one matrix product of the match
    for some in (some_spectrum(), batch, batch[:1], batch[[3, 1]]):
        fit_lines(some)
        indices.line_indices(some)
        match(some)
    assert {name: len(kinds) for name, kinds in asked.items()} == {name: 1 for _, name in kernels}
