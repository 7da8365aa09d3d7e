# Simulcast under gunicorn. Build: docker build -t simulcast .   Run: see docs/operations.md

# Debian 12's Python 3.11. Pinned by version; for a build that can be repeated to the byte, pass it with its digest:
# --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
COPY requirements.txt /
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r /requirements.txt

FROM ${PYTHON_IMAGE} AS docs
COPY requirements-docs.txt /
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r /requirements-docs.txt
WORKDIR /src
COPY README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md ./
COPY benchmarks/README.md benchmarks/
COPY deploy deploy
COPY docs docs
COPY examples examples
COPY app app
RUN NO_MKDOCS_2_WARNING=1 /opt/venv/bin/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml

FROM ${PYTHON_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="Simulcast" \
      org.opencontainers.image.description="Publish once; every listener gets it, in order, and what it missed when it comes back." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BIND=0.0.0.0:8000
COPY --from=builder /opt/venv /opt/venv
WORKDIR /app
COPY gunicorn.conf.py wsgi.py ./
COPY app app
COPY --from=docs /src/build/docs build/docs
# All else belongs to root: the service can't change its own code. The log and the database are in instance/.
RUN python -m compileall -q /app && install -d -o 10001 -g 10001 -m 0700 instance
USER 10001:10001
VOLUME /app/instance
EXPOSE 8000
# For another BIND, replace it: docker run --health-cmd
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# gunicorn drains on TERM and is gone within some 5 s, so docker's 10 s are enough.
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
