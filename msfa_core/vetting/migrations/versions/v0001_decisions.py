"""The append-only table of decisions, guarded against change by triggers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite integers have 64 bits
_KEEP = "decisions are only ever appended"

_SQLITE_GUARDS = (
    f"""CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions
        BEGIN SELECT RAISE(ABORT, '{_KEEP}'); END""",
    f"""CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions
        BEGIN SELECT RAISE(ABORT, '{_KEEP}'); END""",
    # INSERT OR REPLACE deletes without firing a DELETE trigger
    f"""CREATE TRIGGER decisions_no_replace BEFORE INSERT ON decisions
        WHEN EXISTS (SELECT 1 FROM decisions WHERE decision_id = NEW.decision_id
                     OR withdraws = NEW.withdraws)
        BEGIN SELECT RAISE(ABORT, '{_KEEP}'); END""",
)
_POSTGRESQL_GUARDS = (
    f"""CREATE FUNCTION decisions_keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{_KEEP}'; END $$""",
    """CREATE TRIGGER decisions_no_change BEFORE UPDATE OR DELETE ON decisions
        FOR EACH ROW EXECUTE FUNCTION decisions_keep()""",
    """CREATE TRIGGER decisions_no_truncate BEFORE TRUNCATE ON decisions
        FOR EACH STATEMENT EXECUTE FUNCTION decisions_keep()""",
)


def upgrade() -> None:
    """Create the table, its indexes and its guards."""
    op.create_table(
        "decisions",
        sa.Column("decision_id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("obsid", _BIG, nullable=False, index=True),
        sa.Column("uid", sa.Text, nullable=False, index=True),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False, index=True),
        sa.Column("verdict_class", sa.Text, nullable=False),
        sa.Column("confidence", sa.SmallInteger),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("issue_flags", sa.Text, nullable=False),  # JSON list
        sa.Column("shown", sa.Text, nullable=False),  # JSON map
        sa.Column("software_version", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Text, nullable=False),  # UTC, ISO 8601
        sa.Column("withdraws", _BIG, sa.ForeignKey("decisions.decision_id"), unique=True),
        sa.CheckConstraint("verdict IN ('accept', 'reject', 'unsure')", name="verdict_known"),
        sa.CheckConstraint("confidence BETWEEN 1 AND 4", name="confidence_range"),
        sa.CheckConstraint("reviewer <> ''", name="reviewer_named"),
        sqlite_autoincrement=True,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_GUARDS if is_sqlite else _POSTGRESQL_GUARDS:
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Refuse: decisions are never thrown away."""
    raise NotImplementedError("the first version of the decision store has nothing below it")
