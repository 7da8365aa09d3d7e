"""Conversations of completions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("spoken_ms", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conversation_name", "conversation", ["owner", "name"], unique=True)
    op.create_index("ix_conversation_spoken", "conversation", ["owner", "spoken_ms"])
    op.create_index("ix_conversation_spoken_ms", "conversation", ["spoken_ms"])
    op.create_table(
        "conversation_turn",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("completion", sa.String(64), nullable=False, unique=True),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conversation_turn_order", "conversation_turn", ["conversation_id", "id"])
    op.create_index("ix_conversation_turn_status", "conversation_turn", ["status"])


def downgrade() -> None:
    op.drop_table("conversation_turn")
    op.drop_table("conversation")
