# Build: the distribution with pinned dependencies in an environment of its own.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY cds_service ./cds_service
COPY hooks ./hooks
COPY fixtures ./fixtures
RUN python -m venv /app
RUN /app/bin/python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt .
# The record of a container without a volume lives and ends here; whoever runs as another user may write it too.
RUN install -d -m 1777 /app/data

# Run: the environment alone, as a user without rights, from a file system that may be read-only.
FROM python:3.11-slim
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DURVALUMAB_CDS_HOST=0.0.0.0 \
    DURVALUMAB_CDS_PORT=8080 \
    DURVALUMAB_CDS_REGISTRY=/etc/durvalumab-cds/registry.yaml \
    DURVALUMAB_CDS_DATA_FOLDER=/app/data
VOLUME /app/data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import http.client, os; to = http.client.HTTPConnection('127.0.0.1', int(os.environ['DURVALUMAB_CDS_PORT']), timeout=2); to.request('GET', '/health'); assert to.getresponse().status == 200"]
ENTRYPOINT ["durvalumab-cds"]
CMD ["serve"]
