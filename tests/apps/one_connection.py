"""The service, with one connection to its database for a whole worker."""

from app import create_app

app = create_app({"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 1, "max_overflow": 0, "pool_timeout": 2}})
