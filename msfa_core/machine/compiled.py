"""Kernels compiled, and kept on disk until a module that they call changes."""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

# Without "nnan" and "ninf" comparisons with NaN keep their meaning
_FASTMATH: Final = frozenset({"contract", "reassoc", "nsz", "arcp"})
_FASTMATH_FINITE: Final = _FASTMATH | {"nnan", "ninf"}


def compiled(
    function: Callable[..., Any] | None = None, *, finite: bool = False, part: bool = False
) -> Any:
    """Compile a kernel: fused arithmetic, released interpreter lock, kept on disk where possible.

    Where neither the package's folder nor the user's cache can be written, the kernel is compiled
    afresh in each process instead of failing.

    Parameters
    ----------
    function : callable
    finite : bool
        The kernel meets neither NaN nor infinity, and may be compiled as if there were none.
    part : bool
        Only other kernels call it, never Python: it is made ready for them and gets no machine
        code of its own, nor a place on disk.
    """
    import numba  # noqa: PLC0415 (most of a second; not every command computes)

    def compile_it(kernel: Callable[..., Any]) -> Any:
        fastmath = set(_FASTMATH_FINITE if finite else _FASTMATH)
        options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
        options["no_cfunc_wrapper"] = True  # nobody calls a kernel from C
        if part:
            return _pipelines().part(kernel, {**options, "nopython": True})
        dispatcher: Any = numba.njit(pipeline_class=_pipelines().whole, **options)(kernel)
        with contextlib.suppress(RuntimeError):  # numba: "no locator available"
            dispatcher._cache = _kernel_cache()(kernel)
        return dispatcher

    return compile_it if function is None else compile_it(function)


@cache
def _pipelines() -> SimpleNamespace:
    """Return how kernels are compiled: ``whole``, and as ``part`` of others.

    Numba optimises a callee, and makes machine code of it, once for itself and again in every
    caller, and in the callers of those; here it does so in the outermost kernel alone. And it
    shares callees of one name between kernels that come from disk: names that were counted in
    different processes, which may mean different things. Here each kernel keeps its own.
    """
    from numba.core.codegen import JITCodeLibrary  # noqa: PLC0415 (as above)
    from numba.core.compiler import Compiler  # noqa: PLC0415 (as above)
    from numba.core.registry import CPUDispatcher  # noqa: PLC0415 (as above)

    class WholeLibrary(JITCodeLibrary):
        def _optimize_final_module(self) -> None:
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage.name == "linkonce_odr":
                    function.linkage = "internal"
            super()._optimize_final_module()

    class PartLibrary(JITCodeLibrary):
        def _optimize_final_module(self) -> None:
            pass

        def _finalize_final_module(self) -> None:
            self._finalized = True

    class WholeCompiler(Compiler):
        def compile_extra(self, func: Callable[..., Any]) -> Any:
            codegen = self.state.targetctx.codegen()
            self.state.library = WholeLibrary(codegen, func.__qualname__)
            self.state.library.enable_object_caching()
            with _no_search_for_garbage():
                return super().compile_extra(func)

    class PartCompiler(Compiler):
        def compile_extra(self, func: Callable[..., Any]) -> Any:
            target = self.state.targetctx
            self.state.library = PartLibrary(target.codegen(), func.__qualname__)
            self.state.flags.no_compile = True
            made = super().compile_extra(func)
            target.insert_user_function(None, made.fndesc, [made.library])  # callers find it
            return made

    class PartDispatcher(CPUDispatcher):
        def add_overload(self, cres: Any) -> None:
            self.overloads[tuple(cres.signature.args)] = cres

        def __call__(self, *_: Any) -> Any:
            raise TypeError(
                f"{self.py_func.__name__} is compiled as part of other kernels; "
                "Python cannot call it."
            )

    def part(kernel: Callable[..., Any], options: dict[str, Any]) -> Any:
        options = {**options, "no_cpython_wrapper": True}
        return PartDispatcher(kernel, targetoptions=options, pipeline_class=PartCompiler)

    return SimpleNamespace(whole=WholeCompiler, part=part)


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Search for garbage later: all that is imported would be looked at, a tenth of the time."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


@cache
def _kernel_cache() -> Any:
    """Return the kind of cache whose code is outdated by a change in any module with kernels.

    Kernels call each other across the modules of a folder. Numba itself looks at the caller's own
    file only, and would go on running the old callee.
    """
    from numba.core.caching import FunctionCache  # noqa: PLC0415 (as above)

    class KernelCache(FunctionCache):
        def __init__(self, kernel: Callable[..., Any]) -> None:
            super().__init__(kernel)
            self.sources = _digest(Path(kernel.__code__.co_filename).parent)

        def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
            return (*super()._index_key(sig, codegen), self.sources)

    return KernelCache


@cache
def _digest(folder: Path) -> str:
    """Return a digest of the modules of a folder that hold kernels."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        if b"@compiled" in source:
            total.update(source)
    return total.hexdigest()
