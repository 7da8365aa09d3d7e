"""Records of usage."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("credits_used", sa.BigInteger, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.LargeBinary(16), unique=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_usage_created_ms", "usage", ["created_ms", "id"])
    op.create_index("ix_usage_model", "usage", ["model", "created_ms", "id"])


def downgrade() -> None:
    op.drop_table("usage")
