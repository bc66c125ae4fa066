#!/bin/sh
# Runs once, when InfluxDB 2.x sets itself up: Grafana's InfluxQL asks for a database, and this says which bucket that is.
# `influx` is connected as the administrator by the image's entry point, which also sets the bucket's id; other versions do not.
if [ -n "${DOCKER_INFLUXDB_INIT_BUCKET_ID:-}" ]; then
  influx v1 dbrp create \
    --org "$DOCKER_INFLUXDB_INIT_ORG" \
    --bucket-id "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
    --db "$DOCKER_INFLUXDB_INIT_BUCKET" \
    --rp autogen \
    --default
fi
