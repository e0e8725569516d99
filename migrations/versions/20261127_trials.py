"""Trials of adapters: begun and ended by whom, beside who chose what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e81f3a6c20d9"
down_revision = "e1b6f4082d9c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("adapter_uses", sa.Column("kind", sa.String(length=8), nullable=False, server_default="use"))
    op.add_column("adapter_uses", sa.Column("percent", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.execute("DELETE FROM adapter_uses WHERE kind <> 'use'")  # before it, every row was a choice
    op.drop_column("adapter_uses", "percent")
    op.drop_column("adapter_uses", "kind")
