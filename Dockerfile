# One image for every part of the site; docker-compose.yml says which command each container runs.
FROM node:24-slim AS front
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM python:3.11-slim AS site
# bubblewrap: the sandbox of job programs. git and git-lfs are not needed: the protocols are spoken by the site itself.
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap libgomp1 && rm -rf /var/lib/apt/lists/*
ENV PYTHONUNBUFFERED=1 PATH=/srv/mercato/.venv/bin:$PATH
WORKDIR /srv/mercato
COPY pyproject.toml ./
# torch first and for the processor only: the default build brings gigabytes of GPU libraries.
RUN python -m venv .venv && pip install --no-cache-dir uv==0.13.9 \
    && uv pip install --no-cache --compile-bytecode --python .venv/bin/python --torch-backend=cpu "torch==2.13.0" \
    && uv pip install --no-cache --compile-bytecode --python .venv/bin/python --torch-backend=cpu -r pyproject.toml --extra train --extra s3
COPY . .
COPY --from=front /build/node_modules ./node_modules
ENV STATIC_ROOT=/srv/mercato/static-collected MERCATO_DATA=/var/lib/mercato LOG_FORMAT=json \
    PROMETHEUS_MULTIPROC_DIR=/run/mercato-metrics
RUN python -m compileall -q -x '/(\.venv|node_modules)/' . && python scripts/vendor_static.py && rm -rf node_modules \
    && mkdir /run/mercato-metrics \
    && useradd --system --create-home --home-dir /var/lib/mercato mercato \
    && SECRET_KEY=only-while-the-image-is-built python manage.py collect_static \
    && rm -rf /var/lib/mercato/* && chown -R mercato /var/lib/mercato "$STATIC_ROOT" /run/mercato-metrics
USER mercato
VOLUME /var/lib/mercato
EXPOSE 8000 8001
CMD ["python", "manage.py", "up", "--host", "0.0.0.0"]
