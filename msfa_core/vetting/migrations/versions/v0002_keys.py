"""A key per decision, so that it is stored once; on PostgreSQL, numbers in the order of commits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_APPEND_LOCK = 0x6D736661  # as in vetting/database.py

# A number is drawn after the triggers of the statement have run, and the lock is held until the
# transaction is over: so numbers become visible in their order, whoever inserts.
_IN_TURN = (
    f"""CREATE FUNCTION decisions_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock({_APPEND_LOCK}); RETURN NULL; END $$""",
    """CREATE TRIGGER decisions_in_turn BEFORE INSERT ON decisions
        FOR EACH STATEMENT EXECUTE FUNCTION decisions_in_turn()""",
)
_NO_REPLACE = (  # INSERT OR REPLACE deletes without firing a DELETE trigger
    "DROP TRIGGER decisions_no_replace",
    """CREATE TRIGGER decisions_no_replace BEFORE INSERT ON decisions
        WHEN EXISTS (SELECT 1 FROM decisions WHERE decision_id = NEW.decision_id
                     OR withdraws = NEW.withdraws OR key = NEW.key)
        BEGIN SELECT RAISE(ABORT, 'decisions are only ever appended'); END""",
)


def upgrade() -> None:
    """Add the column, its index and the triggers; earlier rows have no key."""
    op.add_column("decisions", sa.Column("key", sa.Text))
    op.create_index("ix_decisions_key", "decisions", ["key"], unique=True)
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _NO_REPLACE if is_sqlite else _IN_TURN:
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Refuse: older software would store a decision twice."""
    raise NotImplementedError("the keys of decisions are not taken away again")
