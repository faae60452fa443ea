"""Patches of Celery, kombu and billiard: each fits what is installed, and the library still needs it.

A test of the second kind fails when a library has mended what its patch is for: then remove the patch.
"""

import inspect
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.worker.consumer import consumer
from kombu.transport import redis as kombu_redis

from tasks.engine import celery_patches
from tasks.engine.celery_patches import TRANSPORT, WORKER_PATCHES, Patch, apply_patches
from tasks.engine.celery_patches import _while_connecting as while_connecting

ALL = (*WORKER_PATCHES, TRANSPORT, while_connecting(lambda: None))
DEFAULT_TRIES = 300
DEFAULT_CHECK_S = 5.0


def of_library(expression: str, *modules: str) -> str:
    """Return an expression's value in a fresh interpreter, where nothing is patched."""
    code = f"import {', '.join(modules)}\nprint({expression})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("patch", ALL, ids=lambda patch: patch.path)
def test_patch_fits_the_installed_library_and_names_an_attribute_that_exists(patch: Patch) -> None:
    owner, name = patch.target()

    assert patch.fits, f"check the patch on the new version of {patch.library}, then set `checked`"
    assert hasattr(owner, name)
    assert patch.why


def test_patch_of_another_version_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    module = SimpleNamespace(value=1)
    patch = Patch("celery", "1.0", "made:value", lambda _: 2, "made for this test")
    with caplog.at_level(logging.WARNING):
        apply_patches([patch])

    assert module.value == 1
    assert "patch_left_out path=made:value library=celery" in caplog.text


def test_patch_sets_the_attribute_from_its_original(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(part=SimpleNamespace(value=1))
    monkeypatch.setitem(sys.modules, "made", module)

    assert Patch("celery", "5.7", "made:part.value", lambda before: before + 1, "made for this test").apply()
    assert module.part.value == 2


def test_pool_process_that_ends_still_waits_long_for_its_last_result() -> None:
    found = of_library("billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT", "billiard.pool")

    assert int(found) == DEFAULT_TRIES


def test_pool_still_checks_its_processes_seldom() -> None:
    pool = "type('Pool', (), {'maintain_pool': 0})()"
    found = of_library(
        f"list(asynpool.AsynPool.timers.fget({pool}).values())", "celery.concurrency.asynpool as asynpool"
    )

    assert found == f"[{DEFAULT_CHECK_S}]"


def test_soft_time_limit_still_names_neither_step_nor_limit() -> None:
    code = "billiard.pool.soft_timeout_sighandler(10, None)"
    done = subprocess.run(
        [sys.executable, "-c", f"import billiard.pool\n{code}"], capture_output=True, text=True, check=False
    )

    assert done.stderr.strip().endswith(f"{SoftTimeLimitExceeded.__name__}: SoftTimeLimitExceeded()")


def test_consumer_still_calls_nothing_else_while_it_waits_for_its_broker() -> None:
    source = inspect.getsource(consumer.Consumer.connection_for_read) + inspect.getsource(
        consumer.Consumer.ensure_connected
    )

    assert "callback=maybe_shutdown" in source


def test_callback_is_called_before_the_check_that_ends_the_wait() -> None:
    calls: list[str] = []
    patched = while_connecting(lambda: calls.append("callback")).value(lambda: calls.append("check"))
    patched()

    assert calls == ["callback", "check"]


def test_channel_of_kombu_still_makes_a_client_for_each_operation() -> None:
    pool = SimpleNamespace(connection_kwargs={})
    channel: Any = SimpleNamespace(Client=lambda **_: object(), pool=pool)
    first, second = (kombu_redis.Channel._create_client(channel) for _ in range(2))

    assert first is not second
    assert celery_patches.Transport.Channel is celery_patches.Channel
