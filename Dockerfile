# The studio and its HTTP API in a container, on a processor or on CUDA GPUs:
#
#     docker build --tag sdxl-lora-studio .
#     docker build --tag sdxl-lora-studio:cuda --build-arg TORCH=cuda .
#
# Everything that is kept lies in /data, models of the hub in /models. See docs/guide/deployment.md.
FROM python:3.11-slim-bookworm AS packages

# cpu: PyTorch's own packages without CUDA; cuda: those of PyPI, which bring it
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.txt requirements-extra.txt ./
RUN python -m venv /venv \
    && if [ "$TORCH" = cpu ]; then \
        /venv/bin/pip install --index-url https://download.pytorch.org/whl/cpu \
            "$(grep -o '^torch==[0-9.]*' requirements.txt)"; \
    fi \
    && /venv/bin/pip install -r requirements.txt -r requirements-extra.txt

FROM python:3.11-slim-bookworm

RUN groupadd --gid 10001 studio \
    && useradd --uid 10001 --gid studio --no-create-home --home-dir /data --shell /usr/sbin/nologin studio \
    && install -d -o studio -g studio /data /models
COPY --from=packages /venv /venv
WORKDIR /app
COPY app.py LICENSE ./
COPY .streamlit .streamlit
COPY pages pages
COPY sdxl_lora sdxl_lora
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SDXL_LORA_HOME=/data \
    HF_HOME=/models
# by number, so that a cluster that forbids root can tell
USER 10001:10001
VOLUME ["/data", "/models"]
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/healthz', timeout=8)"]
STOPSIGNAL SIGTERM
# headless: there is no browser to open; all networks: the container is one of its own, and compose.yaml opens it to
# this machine alone
CMD ["streamlit", "run", "app.py", "--server.headless", "true", "--server.address", "0.0.0.0", "--server.port", "8501"]
