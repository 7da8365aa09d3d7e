"""The reports of wukongs. Databases from before there were migrations have the table, perhaps without its last column and
without its index."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    interval = sa.Column("interval_ms", sa.Integer, nullable=False, server_default="0")
    found = sa.inspect(op.get_bind())
    if not found.has_table("wukong"):
        op.create_table(
            "wukong",
            sa.Column("name", sa.String(64), primary_key=True),
            sa.Column("data", sa.Text, nullable=False),
            sa.Column("reported_ms", sa.BigInteger, nullable=False),
            sa.Column("is_offline", sa.Boolean, nullable=False),
            interval,
        )
    elif all(column["name"] != "interval_ms" for column in found.get_columns("wukong")):
        op.add_column("wukong", interval)
    op.create_index("ix_wukong_reported_ms", "wukong", ["reported_ms"], if_not_exists=True)


def downgrade() -> None:
    op.drop_table("wukong")
