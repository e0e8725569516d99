"""Teaching: who allows it, the examples that people gave, and who decided which adapter answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c47a9e1f5d02"
down_revision = "8b51c0d6a7f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("teaches", sa.Boolean(), nullable=True))
    op.add_column("turns", sa.Column("quotes", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "examples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("community", sa.String(length=300), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.Integer(), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_examples_person_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_examples_turn_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_examples")),
        sa.UniqueConstraint("turn_id", "person_id", name=op.f("uq_examples_turn_id")),
    )
    op.create_index("ix_examples_community_id", "examples", ["community", "id"])
    op.create_index(op.f("ix_examples_person_id"), "examples", ["person_id"])
    op.create_table(
        "example_pictures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("mime", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["example_id"], ["examples.id"], name=op.f("fk_example_pictures_example_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_example_pictures")),
    )
    op.create_index(op.f("ix_example_pictures_example_id"), "example_pictures", ["example_id"])
    op.create_index(op.f("ix_example_pictures_sha256"), "example_pictures", ["sha256"])
    op.create_table(
        "adapter_uses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_adapter_uses_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_uses")),
    )
    op.create_index(op.f("ix_adapter_uses_run_id"), "adapter_uses", ["run_id"])


def downgrade() -> None:
    op.drop_table("adapter_uses")
    op.drop_table("example_pictures")
    op.drop_table("examples")
    op.drop_column("turns", "quotes")
    op.drop_column("people", "teaches")
