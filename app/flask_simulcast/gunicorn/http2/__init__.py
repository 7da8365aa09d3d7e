"""HTTP/2 for gunicorn's gevent worker: the requests of a connection run side by side. gunicorn's own worker answers one after the
other, so that a stream holds up all that follows it. Needs the extra ``flask-simulcast[http2]``.
"""
