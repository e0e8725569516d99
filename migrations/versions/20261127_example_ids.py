"""Numbers of examples are used once: SQLite gave those of deleted ones to the next person's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7f2c5a90be13"
down_revision = "e81f3a6c20d9"
branch_labels = None
depends_on = None

RUNS = sa.table("runs", sa.column("config", sa.JSON()))
EXAMPLES = sa.table("examples", sa.column("id", sa.Integer()))


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":  # elsewhere a sequence gives the numbers
        _make_anew(autoincrement=True)
        _go_on_behind(_highest())


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(autoincrement=False)


def _make_anew(*, autoincrement: bool) -> None:
    """Dropping the old table deletes the pictures of its rows (ON DELETE CASCADE): they are put aside meanwhile."""
    op.execute("CREATE TEMPORARY TABLE pictures_aside AS SELECT * FROM example_pictures")
    with op.batch_alter_table("examples", recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}):
        pass
    op.execute("INSERT INTO example_pictures SELECT * FROM pictures_aside")
    op.execute("DROP TABLE pictures_aside")


def _highest() -> int:
    """Number of an example that is there, or that a run learnt from."""
    connection = op.get_bind()
    configs = connection.execute(sa.select(RUNS.c.config)).scalars()
    named = [number for config in configs for number in (config or {}).get("examples", ())]
    return max([connection.execute(sa.select(sa.func.max(EXAMPLES.c.id))).scalar() or 0, *named])


def _go_on_behind(number: int) -> None:
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'examples'")
    op.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('examples', :number)").bindparams(number=number))
