"""Worker processes use one thread each and stop at once when asked, wherever they are."""

import subprocess
import sys

import numpy as np
import pytest

from msfa_core.machine import parallel


def threads_here(_):
    """Return how many threads each numerical library of this process would use."""
    from threadpoolctl import threadpool_info

    np.ones((8, 8)) @ np.ones((8, 8))
    return [pool["num_threads"] for pool in threadpool_info()]


def test_the_libraries_of_worker_processes_use_one_thread_each(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    found = list(parallel.in_order(threads_here, [0], workers=2))
    assert found[0] and set(found[0]) == {1}


STOPPED = '''
import os, signal, sys, threading, time
from msfa_core.machine.parallel import in_order

if __name__ != "__main__" and sys.argv[3] == "late":
    time.sleep(0.5)  # workers that start slowly: a task waits for a place in their queue

def task(seconds):
    time.sleep(seconds)
    return seconds

def interrupt_inside(lock):
    """Ask to stop when the main thread has just taken its lock of this number."""
    enter, main, taken = threading.Condition.__enter__, threading.main_thread().ident, 0
    def entered(self):
        nonlocal taken
        answer = enter(self)
        if threading.get_ident() == main:
            taken += 1
            if taken == lock:
                os.killpg(0, signal.SIGINT)
        return answer
    threading.Condition.__enter__ = entered

def shut_down_late():
    """Let the pool see that its workers are gone before it is told to end."""
    import concurrent.futures as futures
    plain = futures.ProcessPoolExecutor.shutdown
    def late(self, *args, **kwargs):
        time.sleep(2)
        plain(self, *args, **kwargs)
    futures.ProcessPoolExecutor.shutdown = late

if __name__ == "__main__":
    if sys.argv[3] == "late":
        shut_down_late()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_inside(int(sys.argv[1]))
    try:
        print(sum(in_order(task, [0.01, 0.01, *[float(sys.argv[2])] * 30], 2)))
    except KeyboardInterrupt:
        print("stopped")
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lock", "seconds", "shutdown"),
    [
        (3, 0.01, "prompt"),
        (5, 0.01, "prompt"),
        (8, 0.01, "prompt"),
        (20, 0.01, "prompt"),
        (20, 60.0, "prompt"),
        (11, 60.0, "late"),
    ],
)
def test_ctrl_c_in_the_midst_of_a_lock_ends_the_workers_and_their_work_at_once(
    lock, seconds, shutdown, tmp_path
):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    done = subprocess.run(
        [sys.executable, str(script), str(lock), str(seconds), shutdown],
        capture_output=True,
        text=True,
        timeout=30,
        start_new_session=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("stopped\n", "")
