# One image for every process: `python -m app serve|work|migrate`, `python -m verifier serve|work|migrate`.
# It needs a PostgreSQL of its own (DATABASE_URL); the embedded one of development is not in it.
# The file system may be read-only but for /tmp, where an uploaded file lies while it is read.

FROM python:3.13-slim AS packages
COPY requirements.lock .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements.lock

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --home-dir /srv/mailverdict --shell /usr/sbin/nologin mailverdict
COPY --from=packages /venv /venv
WORKDIR /srv/mailverdict
COPY app/ app/
COPY schema/ schema/
COPY resolvers/ resolvers/
COPY services/ services/
COPY db/ db/
COPY verifier/ verifier/
COPY LICENSE pyproject.toml ./

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    LOG_FORMAT=json
USER mailverdict
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=2)"]
CMD ["python", "-m", "app", "serve"]
