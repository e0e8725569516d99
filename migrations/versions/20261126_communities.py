"""Adapters of communities: what answers where, what is tried, and which adapter wrote an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5d0e7b93c1a4"
down_revision = "c47a9e1f5d02"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("community", sa.String(length=300), nullable=False, server_default=sa.text("''")))
    op.add_column("answers", sa.Column("adapter", sa.String(length=64), nullable=False, server_default=sa.text("''")))
    op.create_index(op.f("ix_answers_adapter"), "answers", ["adapter"])
    op.add_column("adapter_uses", sa.Column("community", sa.String(length=300), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "adapter_choices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("community", sa.String(length=300), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("tried", sa.String(length=64), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("tried_by", sa.String(length=255), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_choices")),
        sa.UniqueConstraint("community", name=op.f("uq_adapter_choices_community")),
    )


def downgrade() -> None:
    op.drop_table("adapter_choices")
    op.drop_column("adapter_uses", "community")
    op.drop_index(op.f("ix_answers_adapter"), table_name="answers")
    op.drop_column("answers", "adapter")
    op.drop_column("conversations", "community")
