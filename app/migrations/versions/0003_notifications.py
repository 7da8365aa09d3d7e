"""Notifications of users."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(32), nullable=False, unique=True),
        sa.Column("position", sa.String(40), unique=True),
        sa.Column("read_ms", sa.BigInteger),
    )
    op.create_index("ix_notification_read_ms", "notification", ["read_ms"])
    op.create_index("ix_notification_unread", "notification", ["user_id", "read_ms"])


def downgrade() -> None:
    op.drop_table("notification")
