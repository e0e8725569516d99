"""Chat platforms: settings of people and conversations, where answers are shown, better answers, closed chats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8b51c0d6a7f2"
down_revision = "3e24ddd4bbd3"
branch_labels = None
depends_on = None


# Plain ALTER TABLE throughout: Alembic's batch mode would copy tables on SQLite, and dropping the old ones cascades.


def upgrade() -> None:
    op.add_column("people", sa.Column("client_language", sa.String(length=35), nullable=False, server_default=sa.text("''")))
    op.add_column("people", sa.Column("language", sa.String(length=35), nullable=False, server_default=sa.text("''")))
    op.add_column("conversations", sa.Column("memory_turns", sa.Integer(), nullable=True))
    op.add_column("conversations", sa.Column("persona", sa.String(length=64), nullable=False, server_default=sa.text("''")))
    op.add_column("turns", sa.Column("reply_ids", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("turns", sa.Column("told", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("turns", sa.Column("task", sa.String(length=16), nullable=False, server_default="answer"))
    op.create_index(op.f("ix_turns_message_id"), "turns", ["message_id"])
    op.add_column("feedback", sa.Column("better", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "closed_chats",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("chat_id", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closed_chats")),
        sa.UniqueConstraint("platform", "chat_id", name=op.f("uq_closed_chats_platform")),
    )


def downgrade() -> None:
    op.drop_table("closed_chats")
    op.drop_column("feedback", "better")
    op.drop_index(op.f("ix_turns_message_id"), table_name="turns")
    for name in ("task", "told", "reply_ids"):
        op.drop_column("turns", name)
    for name in ("persona", "memory_turns"):
        op.drop_column("conversations", name)
    for name in ("language", "client_language"):
        op.drop_column("people", name)
