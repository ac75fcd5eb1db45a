# The images of pullwhy: `--target agent` and `--target collector`. `make image` builds both without any registry.
#
# Each is made from nothing: the files of the Debian packages that Python and libsystemd need, and one virtual environment. No
# shell, no package manager, no compiler. BASE only builds; it must be Debian 13 or later: its libsystemd (257) reads the compact
# and compressed journals of hosts, and its own Python goes into the images.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS build
ARG BUILD_PACKAGES="python3 python3-dev python3-pip python3-venv gcc libc6-dev pkg-config libsystemd-dev libzstd1 liblz4-1 liblzma5 libgcrypt20 libsqlite3-0 libexpat1"
RUN if ! dpkg-query --show ${BUILD_PACKAGES} >/dev/null 2>&1; then \
        apt-get update && apt-get install --yes --no-install-recommends ${BUILD_PACKAGES}; \
    fi
# With wheels made outside (dist/wheelhouse) where the build has no network; without any, pip asks its index.
COPY . /source
# libsystemd opens the libraries of compressed journals (zstd, lz4, xz; gcrypt for seals) only when it meets one (systemd 256), so that
# no dependency names them. zstd and xz are in both images for the sake of OpenSSL and Python.
ARG AGENT_PACKAGES="libsystemd0 libcap2 liblz4-1 libxxhash0 libgcrypt20 libgpg-error0"
ARG COLLECTOR_PACKAGES="libsqlite3-0"
RUN /source/scripts/image-root agent ${AGENT_PACKAGES} && /source/scripts/image-root collector,postgres ${COLLECTOR_PACKAGES}

FROM scratch AS agent
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pullwhy agent" \
      org.opencontainers.image.description="Why can't this node pull this image? The agent of a node." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/agent /
# Without docstrings, which nothing reads here: more than 1 MiB less on each node. image-root compiles for it. Buffers of 128 KiB
# and more get pages of their own and give them back: the C library would soon take them from its heap, and keep 2 MiB of holes.
ENV PATH=/opt/pullwhy/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONOPTIMIZE=2 \
    MALLOC_MMAP_THRESHOLD_=131072 MALLOC_ARENA_MAX=1
# root, with no capability but those that docs/permissions.md lists: the CRI socket, the kubelet's files and journals are root's. The
# walk, which talks to strangers, runs as nobody.
USER 0:0
ENTRYPOINT ["/opt/pullwhy/bin/pullwhy"]
CMD ["agent"]

FROM scratch AS collector
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pullwhy collector" \
      org.opencontainers.image.description="Why can't this node pull this image? The collector of a cluster." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/collector /
ENV PATH=/opt/pullwhy/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 9443
ENTRYPOINT ["/opt/pullwhy/bin/pullwhy"]
CMD ["collector"]
