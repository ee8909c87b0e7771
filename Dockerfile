# The dashboard and the command line in one image: docker build --tag msfa-bhb:0.1.0 .
# TORCH_INDEX: where torch's wheels for processors are, which are of the same version; with
# --build-arg TORCH_INDEX= pip takes those for graphics cards, which bring several GB on Linux.
FROM python:3.12.8-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 NUMBA_CACHE_DIR=/home/msfa/kernels

WORKDIR /src
COPY constraints.txt ./
RUN pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY msfa_core ./msfa_core
COPY dashboard ./dashboard
COPY data ./data
RUN pip install --constraint constraints.txt ".[postgres]" && rm -r /src/*

RUN useradd --create-home --uid 1000 msfa
USER msfa
WORKDIR /home/msfa
RUN python -c "from msfa_core.spine.ready import compile_kernels; compile_kernels()"

EXPOSE 5006
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://localhost:5006/static/js/bokeh.min.js', timeout=20)"]
CMD ["msfa", "serve", "/survey", "--address", "0.0.0.0"]
