"""The line that a watchdog leaves behind, and which worker ends when it is asked to."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.worker import state as worker_state

from configs.settings import Settings
from worker.remote_control import end_supervised
from worker.watchdog import watchdog
from worker.watchdog.feeder import final_line


@pytest.fixture(autouse=True)
def no_shutdown() -> Iterator[None]:
    """Leave Celery's flag as it was."""
    before = worker_state.should_stop
    yield
    worker_state.should_stop = before


def test_last_words_of_a_worker_by_hand_say_how_to_start_it_again(tmp_path: Path) -> None:
    text = final_line(Settings(var_dir=tmp_path), "XAUUSD@host", ("XAUUSD", "BTCUSD", "control"))

    assert "worker_stuck node=XAUUSD@host" in text
    assert f"process {os.getpid()}" in text
    assert text.endswith("restart it: celery -A tasks worker -Q XAUUSD,BTCUSD")
    assert (text.count(watchdog.WHEN), text.count(watchdog.HOW_LONG)) == (1, 1)


def test_last_words_of_a_worker_of_control_alone_name_that_queue(tmp_path: Path) -> None:
    assert final_line(Settings(var_dir=tmp_path), "control@host", ("control",)).endswith(" -Q control")


def test_last_words_of_a_supervised_worker_leave_it_to_its_supervisor(tmp_path: Path) -> None:
    text = final_line(Settings(var_dir=tmp_path, supervised=True), "XAUUSD@host", ("XAUUSD",))

    assert text.endswith("its supervisor restarts it")


def test_last_words_are_one_json_object_where_the_log_is_json(tmp_path: Path) -> None:
    text = final_line(Settings(var_dir=tmp_path, log_format="json"), "XAUUSD@host", ("XAUUSD",))

    entry = json.loads(text)
    assert (entry["time"], entry["level"]) == (watchdog.WHEN, "CRITICAL")
    assert "worker_stuck node=XAUUSD@host" in entry["message"]


@pytest.mark.parametrize(("supervised", "answer"), [("false", "error"), ("true", "ok")])
def test_worker_ends_on_request_only_where_something_starts_it_again(
    monkeypatch: pytest.MonkeyPatch, supervised: str, answer: str
) -> None:
    monkeypatch.setenv("TRADING__SUPERVISED", supervised)
    worker_state.should_stop = None

    assert list(end_supervised(None)) == [answer]

    assert (worker_state.should_stop is not None) is (answer == "ok")
