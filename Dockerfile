# tailflux: Tailscale network flow logs into InfluxDB.
#
#   docker build -t tailflux .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp -v tailflux-data:/data -p 127.0.0.1:9464:9464 \
#     -e TAILSCALE_OAUTH_CLIENT_ID -e TAILSCALE_OAUTH_CLIENT_SECRET -e INFLUX_URL -e INFLUX_TOKEN -e INFLUX_ORG -e INFLUX_BUCKET tailflux
#
# To pin the base to exactly one image, take its digest (docker buildx imagetools inspect node:26-slim) and write
# NODE_IMAGE=node:26-slim@sha256:<digest>; a bot such as Renovate keeps it fresh.
ARG NODE_IMAGE=node:26-slim

# Dependencies only: no development tools, no optional packages (they carry a Node, the base image has one), no install scripts.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="tailflux" \
      org.opencontainers.image.description="Tailscale network flow logs into InfluxDB: every entry once, acknowledged" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src

# TypeScript runs as it is: Node strips the types and keeps the result in the compile cache, which is filled here because the root file
# system is read-only later. The cache belongs to a user id and to the flags of V8, so the same user fills it with the flags of the entrypoint.
# One arena of malloc, a young generation of 1 MB and one compiler less keep the service at half the memory, however large an answer is
# (docs/performance.md).
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1 \
    NODE_COMPILE_CACHE=/app/.compile-cache \
    TAILFLUX_DATA_DIR=/data \
    TAILFLUX_HTTP_HOST=0.0.0.0
# `docker exec … tailflux status`; /tokens is where `tailflux init` keeps a token for Grafana, on a volume of both.
RUN mkdir /data /tokens .compile-cache && chown 65532:65532 /data /tokens .compile-cache && ln -s /app/src/cli.js /usr/local/bin/tailflux
USER 65532:65532
# The service runs until it is healthy, on a simulated tailnet: some of what it needs is loaded only then.
RUN ["sh", "-ec", "export TAILFLUX_DEMO=auto TAILFLUX_DATA_DIR=$(mktemp -d); service='node --disable-proto=throw --max-semi-space-size=1 --no-maglev src/cli.js'; $service run & until $service healthcheck; do kill -0 $!; done; kill $!; wait $!; rm -r $TAILFLUX_DATA_DIR"]

# State file and dead letters. Nothing else is written.
VOLUME /data
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["node", "--disable-proto=throw", "--max-semi-space-size=1", "--no-maglev", "/app/src/cli.js", "healthcheck"]
ENTRYPOINT ["node", "--disable-proto=throw", "--max-semi-space-size=1", "--no-maglev", "/app/src/cli.js"]
CMD ["run"]
