"""What benchmarks measure beside a peer goes into one table, at the end of the run."""

import pytest
from beside import KEPT, Row, keep, machine, table

_ROWS = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_ROWS] = []


@pytest.fixture
def beside(request):
    """Add a row to the table: ``beside(task, peer, theirs, ours, unit, goal=…, limit=…)``."""

    def add(*figures, **more):
        row = Row(*figures, **more)
        request.config.stash[_ROWS].append(row)
        return row

    return add


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[_ROWS]
    if not rows:
        return
    about = machine()
    terminalreporter.section("beside what a user would pick: CPU time of one thread, one run")
    terminalreporter.write_line(table(rows))
    missed = sum(row.is_missed for row in rows)
    if missed:  # no error: ratios depend on the machine; where a result differs, its bench fails
        terminalreporter.write_line(f"\n{missed} of {len(rows)} rows miss their goal")
    terminalreporter.write_line(
        f"\n{about['date'][:10]}, {about['cores']} cores, {about['processor']}, "
        f"load {about['load']}; kept as {keep(rows).relative_to(KEPT.parent)}"
    )
