# One image for every role: worker, beat, Flower, migration. What it does is the command, see docker-compose.yml.
FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src

# Dependencies first: this layer is built anew only when they change.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt

COPY LICENSE README.md celeryconfig.py ./
COPY trading trading
COPY configs configs
COPY adapters adapters
COPY tasks tasks
COPY worker worker
COPY beat beat
COPY trading_orchestrator trading_orchestrator
RUN pip install --no-deps .

FROM python:3.12-slim

# No name in the image belongs to this user, so that nothing in it can be written to.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TRADING__VAR_DIR=/var/trading TRADING__LOG_FORMAT=json
RUN install -d -o 10001 -g 10001 -m 0700 /var/trading
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
USER 10001:10001
CMD ["celery", "-A", "tasks", "worker", "-Q", "control", "--loglevel", "INFO"]
