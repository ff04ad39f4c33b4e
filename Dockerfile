# Two stages: the first installs what requirements.lock names, by its hashes; the second runs as a plain user.
# The CPU build of torch may need an index of its own: --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11-slim AS build
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
RUN python -m venv /opt/dicomnode
COPY requirements.lock ./
RUN /opt/dicomnode/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY dicomnode dicomnode
COPY inference inference
COPY storage storage
RUN /opt/dicomnode/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --create-home --home-dir /var/lib/dicomnode dicomnode
COPY --from=build /opt/dicomnode /opt/dicomnode
ENV PATH=/opt/dicomnode/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DICOMNODE_NODE_HOST=0.0.0.0 \
    DICOMNODE_WEB_HOST=0.0.0.0 \
    DICOMNODE_STORAGE_FOLDER=/var/lib/dicomnode/var
USER dicomnode
WORKDIR /var/lib/dicomnode
VOLUME /var/lib/dicomnode/var
EXPOSE 11112 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["dicomnode", "echo"]
STOPSIGNAL SIGTERM
CMD ["dicomnode", "serve"]
