"""Processes of a running system: command lines, environment and stop order.

They run in the folder of the launcher, so that each finds the strategies there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from configs.settings import PREFIX, Settings
from tasks.engine.routing import CONTROL_QUEUE
from trading.errors import Broken
from trading_orchestrator.launcher.assignment import WorkerAssignment
from trading_orchestrator.launcher.child_process import CELERY_WORKER, ProcessSpec
from trading_orchestrator.launcher.embedded_redis import RedisPlan
from trading_orchestrator.launcher.var_files import kept_password

WORKERS_STOP, REST_STOPS, REDIS_STOPS = 0, 1, 2


def redis_process(plan: RedisPlan) -> ProcessSpec:
    return ProcessSpec("redis", plan.argv, stop_rank=REDIS_STOPS)


def assignment_processes(settings: Settings, assignments: Sequence[WorkerAssignment]) -> list[ProcessSpec]:
    """Return the workers of the assignments, in order, and the control worker."""
    return [
        worker_process(settings, assignment)
        for assignment in [*assignments, WorkerAssignment(CONTROL_QUEUE, (CONTROL_QUEUE,))]
    ]


def beat_process(settings: Settings) -> ProcessSpec:
    argv = _celery("beat", "--loglevel", settings.log_level)
    return ProcessSpec("beat", argv, environment(settings), stop_rank=REST_STOPS)


def flower_process(settings: Settings) -> ProcessSpec:
    """Return Flower; its login is in the environment, because every user of the machine can read a command line.

    Raises:
        Broken: User or password contains a comma, which separates logins in Flower.
    """
    password = flower_password(settings)
    if "," in password + settings.flower_user:
        raise Broken(
            f"{PREFIX}FLOWER_USER and {PREFIX}FLOWER_PASSWORD must not contain a comma, which separates Flower's logins"
        )
    argv = _celery("flower", f"--address={settings.flower_address}", f"--port={settings.flower_port}")
    env = environment(settings) | {"FLOWER_BASIC_AUTH": f"{settings.flower_user}:{password}"}
    return ProcessSpec("flower", argv, env, stop_rank=REST_STOPS)


def flower_password(settings: Settings) -> str:
    """Return the password of Flower's login: the configured one, else one generated for this folder."""
    if settings.flower_password is not None:
        return settings.flower_password.get_secret_value()
    return kept_password(flower_password_file(settings))


def flower_password_file(settings: Settings) -> Path:
    return settings.var_dir / "flower" / "password"


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that give a child process the same settings."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {f"{PREFIX}{name.upper()}": _variable(value) for name, value in values.items() if value is not None}


def worker_process(settings: Settings, assignment: WorkerAssignment) -> ProcessSpec:
    """Return the worker of an assignment: it consumes the queues of the assigned symbols."""
    arguments = (
        "-Q",
        ",".join(assignment.symbols),
        "-c",
        "1",
        "-P",
        "prefork",
        "-n",
        f"{assignment.name}@%h",
        "--loglevel",
        settings.log_level,
    )
    return ProcessSpec(
        worker_name(assignment),
        _celery("worker", *arguments),
        environment(settings),
        stop_rank=WORKERS_STOP,
        stop_signals=CELERY_WORKER,
    )


def worker_name(assignment: WorkerAssignment) -> str:
    """Return the supervisor's name for the worker of an assignment."""
    return f"worker-{assignment.name}"


def _celery(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", "tasks", *arguments)


def _variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
