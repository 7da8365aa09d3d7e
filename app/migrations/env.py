"""Alembic's environment: it runs migrations for the start of the service and for ``flask db``."""

from alembic import context

from app.cli import told_at_a_prompt
from app.extensions import db
from app.flask_simulcast import SettingError
from app.migrations import turn

with told_at_a_prompt():
    if context.is_offline_mode():
        raise SettingError("--sql is not supported, because a migration may look at the tables. Leave it out.")
    with turn() as connection:
        context.configure(connection=connection, target_metadata=db.metadata)
        context.run_migrations()
