"""The app that gunicorn serves: ``gunicorn -c gunicorn.conf.py wsgi:app``."""

from gevent import monkey

if not monkey.is_module_patched("socket"):  # gunicorn's worker has patched already
    monkey.patch_all()

from app import create_app

app = create_app()
