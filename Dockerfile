# tfseg serve on processors. The model is no part of the image: mount the folder that `tfseg export` wrote.
#   docker build --tag tfseg .
#   docker run --rm -p 8501:8501 -v "$PWD/street:/model:ro" tfseg --allow_host=segmenter.example.org
FROM python:3.12-slim AS build
WORKDIR /source
COPY requirements.txt setup.py pyproject.toml README.md LICENSE ./
COPY tfseg tfseg
COPY converters converters
COPY tfseg_cli tfseg_cli
RUN python -m venv /opt/tfseg \
    && /opt/tfseg/bin/pip install --no-cache-dir --constraint requirements.txt ".[serve]"

FROM python:3.12-slim
COPY --from=build /opt/tfseg /opt/tfseg
RUN useradd --create-home --uid 10001 tfseg
USER tfseg
WORKDIR /home/tfseg
ENV PATH=/opt/tfseg/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8501
STOPSIGNAL SIGTERM
# TensorFlow and the model take their time to load.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/health', timeout=4)"]
# The names by which clients reach the server come after the image's name: --allow_host=..., which may be repeated.
ENTRYPOINT ["tfseg", "serve", "/model", "--host=0.0.0.0", "--port=8501", "--log_format=json"]
CMD ["--allow_host=localhost"]
