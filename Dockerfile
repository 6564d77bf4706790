# Pravah's own image: worker, gateway, API and every command. Small, without compilers, not root.
FROM python:3.12.11-slim-bookworm AS built
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/runtime.txt requirements/runtime.txt
RUN python -m venv /opt/pravah \
    && /opt/pravah/bin/pip install --require-hashes -r requirements/runtime.txt
COPY . .
RUN /opt/pravah/bin/pip install hatchling==1.29.0 editables==0.5 \
    && /opt/pravah/bin/pip install --no-deps --no-build-isolation . \
    && /opt/pravah/bin/pip uninstall --yes hatchling editables

FROM python:3.12.11-slim-bookworm
# WeasyPrint loads these libraries to set the situation report.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin pravah \
    && mkdir --parents /data /provisioning && chown pravah:pravah /data /provisioning
COPY --from=built /opt/pravah /opt/pravah
ENV PATH=/opt/pravah/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PRAVAH_HOME=/data \
    NUMBA_CACHE_DIR=/data/compiled
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
ENTRYPOINT ["pravah"]
CMD ["--help"]
