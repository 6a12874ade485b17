# syntax=docker/dockerfile:1.7
# The station agent alone: none of the hub's packages.
# Build from the root of the tree: docker build --file docker/station.Dockerfile .

FROM node:22.12.0-bookworm-slim AS browser
WORKDIR /browser
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error

FROM python:3.11.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /source
COPY requirements/ requirements/
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --require-hashes --requirement requirements/bootstrap.lock \
 && /opt/tools/bin/pip install --require-hashes --constraint requirements/dev.lock hatchling babel \
 && python -m venv --without-pip /opt/station-agent \
 && /opt/tools/bin/pip --python /opt/station-agent/bin/python install \
      --require-hashes --requirement requirements/station.lock
COPY hatch_build.py ./
COPY clinic_net/__init__.py clinic_net/__init__.py
COPY clinic_net/clinical/ clinic_net/clinical/
COPY clinic_net/protocol/ clinic_net/protocol/
COPY station_agent/ station_agent/
COPY --from=browser /browser/node_modules/htmx.org/dist/htmx.min.js clinic_net/protocol/browser/vendor/
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./station_agent \
 && /opt/tools/bin/pip --python /opt/station-agent/bin/python install --no-deps --no-index /wheels/*.whl \
 && /opt/station-agent/bin/python -m compileall -q /opt/station-agent/lib

FROM python:3.11.11-slim-bookworm
# /data is made here so that a fresh volume belongs to the user that writes to it.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
 && groupadd --gid 10001 station \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin station \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/station-agent /opt/station-agent
ENV PATH=/opt/station-agent/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
VOLUME /data
# The agent listens on loopback only, whatever it runs in: see docker/README.md.
EXPOSE 8090
HEALTHCHECK --interval=30s --timeout=4s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8090/healthz', timeout=3)"]
STOPSIGNAL SIGTERM
CMD ["station-agent", "run", "--data", "/data", "--port", "8090"]
