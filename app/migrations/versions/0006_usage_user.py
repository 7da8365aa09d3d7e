"""The user for whom an answer of this service was made."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("usage", sa.Column("user_id", sa.String(64)))


def downgrade() -> None:
    op.drop_column("usage", "user_id")
