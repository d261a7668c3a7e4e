# The collector, from the locked dependencies, as a user without rights.
FROM python:3.12.8-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/forewarn
COPY requirements.lock ./
RUN /opt/forewarn/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY forewarn forewarn
COPY agent agent
COPY collector collector
COPY rules rules
RUN /opt/forewarn/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.12.8-slim-bookworm
RUN groupadd --gid 10001 forewarn \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/forewarn forewarn \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/forewarn /broker
COPY --from=build /opt/forewarn /opt/forewarn
ENV PATH=/opt/forewarn/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/forewarn
VOLUME ["/var/lib/forewarn", "/broker"]
EXPOSE 8080
ENTRYPOINT ["forewarn"]
CMD ["collector", "run", "--config", "/etc/forewarn/collector.yaml"]
