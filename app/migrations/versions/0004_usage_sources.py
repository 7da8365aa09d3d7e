"""The last polls of the sources of usage."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "usage_source",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("digest", sa.LargeBinary(16)),
        sa.Column("error", sa.String(300), nullable=False),
        sa.Column("polls", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("polled_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("usage_source")
