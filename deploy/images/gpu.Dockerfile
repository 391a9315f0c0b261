# syntax=docker/dockerfile:1.7
# From the root of the project: docker build -f deploy/images/gpu.Dockerfile -t qbitel:0.1.0-gpu .
# CUDA's libraries come with torch; the driver is the node's.
ARG PYTHON=3.11.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install -c constraints.txt ".[train]" \
 && python -m venv /opt/sbom \
 && /opt/sbom/bin/python -m pip install cyclonedx-bom==7.5.0 \
 && /opt/sbom/bin/cyclonedx-py environment /opt/venv/bin/python --output-file /opt/venv/sbom.json
RUN mkdir /opt/warm && cp -r examples /opt/warm/ && PYTHONPATH=/opt/warm /opt/venv/bin/python -P -m examples.warm

FROM python:${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="qbitel-gpu" \
      org.opencontainers.image.description="Finds out what unknown traffic says, and trains on a GPU" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends wget \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 qbitel \
 && useradd --uid 10001 --gid qbitel --home-dir /tmp --no-create-home --shell /usr/sbin/nologin qbitel
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \
    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
CMD ["qbitel", "serve"]
