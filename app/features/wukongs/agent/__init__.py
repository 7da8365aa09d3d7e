"""The agent of a wukong: a program that reports the status of the machine it runs on, and carries out commands.

``python -m app.features.wukongs.agent``, or ``flask --app wsgi wukong agent``. Plain threads and the extension's client: no
server, no database, no gevent.
"""
