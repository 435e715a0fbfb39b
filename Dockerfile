# dubfew on the CPU: the command line and `dubfew serve`, as a user without rights, on a read-only
# root. docs/guides/containers.md says how to run it.
#   docker build -t dubfew .
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
# PyPI's torch for Linux brings gigabytes of CUDA; this index has the one for CPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends elfutils
COPY pyproject.toml README.md LICENSE constraints.txt tools/install_image.sh ./
COPY dubfew ./dubfew
RUN sh install_image.sh /opt/dubfew --extra-index-url "${TORCH_INDEX}"

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/dubfew /opt/dubfew
# Numbers, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp dubfew \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /keys
ENV PATH=/opt/dubfew/bin:$PATH \
    DUBFEW_HOME=/data/home \
    DUBFEW_KEYS=/keys \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/data/cache/numba \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# Keys apart from data: a backup of the one must not bring the other along.
VOLUME ["/data", "/keys"]
WORKDIR /data
EXPOSE 8765
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=4)"]
ENTRYPOINT ["dubfew"]
CMD ["serve", "--host", "0.0.0.0"]
