# syntax=docker/dockerfile:1
#
# vitrine on the CPU (linux/amd64 and linux/arm64).
#
#   docker build -t vitrine .
#   docker run --rm -p 8080:8080 vitrine
#   docker run --rm -p 8080:8080 -v /models:/models:ro vitrine serve --model /models/NAME
#   docker run --rm vitrine doctor
#
# Checked without a Docker engine: a linter, and `npm run images:check`, which runs every step below in an overlay of the
# machine's own file system. The tag is pinned, its digest is not: no registry of images was within reach.

ARG NODE_IMAGE=node:22.20.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --ignore-scripts
COPY src src
COPY native native
COPY models models
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# koffi's binary comes in a package of its own, so no install script has to run.
RUN npm ci --omit=dev --ignore-scripts
# ONNX Runtime for other systems and processors.
RUN find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 ! -name linux -exec rm -r {} + \
 && find node_modules/onnxruntime-node/bin/napi-v6/linux -mindepth 1 -maxdepth 1 ! -name "$(node -p process.arch)" -exec rm -r {} +

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="vitrine" \
      org.opencontainers.image.description="An LLM inference worker you can see through" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY --from=build /app/dist/src dist/src
COPY --from=build /app/dist/native dist/native
COPY --from=build /app/dist/models dist/models
COPY models/tiny models/tiny
# ONNX Runtime would otherwise keep state under the home directory and set itself up to upload it.
ENV NODE_ENV=production \
    ORT_DISABLE_TELEMETRY=1 \
    VITRINE_HOST=0.0.0.0 \
    VITRINE_PORT=8080
# A number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
# The image examines itself: what could not serve is not built.
RUN ["node", "/app/dist/src/cli/main.js", "doctor"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.VITRINE_PORT}/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/src/cli/main.js"]
CMD ["serve"]
