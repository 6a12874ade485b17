# syntax=docker/dockerfile:1.7
# The hub: every node, the worker and one-shot commands are this image with another command.
# Build from the root of the tree: docker build --file docker/hub.Dockerfile .

FROM node:22.12.0-bookworm-slim AS browser
WORKDIR /browser
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error

FROM python:3.11.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /source
COPY requirements/ requirements/
# The tools have their own environment; the hub's gets what the lock names, and no pip.
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --require-hashes --requirement requirements/bootstrap.lock \
 && /opt/tools/bin/pip install --require-hashes --constraint requirements/dev.lock hatchling babel \
 && python -m venv --without-pip /opt/clinic-net \
 && /opt/tools/bin/pip --python /opt/clinic-net/bin/python install \
      --require-hashes --requirement requirements/hub.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY migrations/ migrations/
COPY station_agent/ station_agent/
COPY clinic_net/ clinic_net/
COPY --from=browser /browser/node_modules/htmx.org/dist/htmx.min.js clinic_net/protocol/browser/vendor/
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/tools/bin/pip --python /opt/clinic-net/bin/python install --no-deps --no-index /wheels/*.whl \
 && /opt/clinic-net/bin/python -m compileall -q /opt/clinic-net/lib

FROM python:3.11.11-slim-bookworm
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
 && groupadd --gid 10001 clinic-net \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin clinic-net \
 && install --directory --owner=10001 --group=10001 --mode=0700 /files
COPY --from=build /opt/clinic-net /opt/clinic-net
COPY --chmod=0755 docker/with-secrets.sh /usr/local/bin/with-secrets
ENV PATH=/opt/clinic-net/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
EXPOSE 8080
# Alive, not ready: a node without a database waits for it, and restarting the node would not help.
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["with-secrets"]
CMD ["clinic-net", "serve", "--host", "0.0.0.0", "--port", "8080", "--no-worker"]
