# Airflow with Lakefeed, every package held to its hash. The project itself is mounted.
FROM python:3.12.11-slim-bookworm

ARG LAKEFEED_UID=1000
RUN useradd --uid "${LAKEFEED_UID}" --create-home lakefeed \
    && install --directory --owner lakefeed /airflow

WORKDIR /lakefeed
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY pipelines ./pipelines
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

USER ${LAKEFEED_UID}
WORKDIR /project
