"""Communities that let others learn from their examples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e1b6f4082d9c"
down_revision = "5d0e7b93c1a4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shares",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("community", sa.String(length=300), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_by", sa.String(length=255), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
    )
    op.create_index(op.f("ix_shares_community"), "shares", ["community"])


def downgrade() -> None:
    op.drop_table("shares")
