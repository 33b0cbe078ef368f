# One image for every role; the settings say what it does. Build: docker build -t cdm-chatops .
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml ./
RUN python -m venv /opt/cdm && /opt/cdm/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/cdm/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/cdm cdm
COPY --from=build /opt/cdm /opt/cdm
USER cdm
WORKDIR /var/lib/cdm
ENV LOGNAME=cdm PATH=/opt/cdm/bin:$PATH CDM_DATA_DIR=/var/lib/cdm/data CDM_SERVER__HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["cdm"]
CMD ["serve", "--config", "/etc/cdm/cdm.yaml"]
