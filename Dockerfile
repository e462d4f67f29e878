# Airflow's own image with Lakefeed, every package held to its hash. The project itself is mounted.
FROM apache/airflow:slim-3.3.2-python3.12

# Where volumes are mounted: a new one takes over whom the folder belongs to. Any user may run the
# image, as long as its group is root's.
USER 0
RUN install --directory --owner airflow --group root --mode 0775 \
        /airflow /lakefeed /project /project/data \
    && install --directory --owner airflow --group root --mode 0770 /secrets

USER 50000
WORKDIR /lakefeed
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY LICENSE NOTICE README.md pyproject.toml ./
COPY pipelines ./pipelines
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

WORKDIR /project
