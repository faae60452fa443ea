"""`trading symbols add`, `set`, `remove`, `reload`: edit the file, apply it and print the result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from adapters.redis.applied_config import AppliedConfig
from configs.diff import Exposure, compare
from configs.files.json_schema import SYMBOLS
from configs.files.replace_file import replace_file
from configs.files.symbols_editor import SymbolsEditor
from configs.loading import load_system, shown_path
from configs.settings import is_installed_config
from configs.snapshot import Content, content_of, fingerprint_of_all
from trading.errors import Transient
from trading_orchestrator.cli.context import Access, ledger_revision
from trading_orchestrator.cli.exit_codes import ExitCode, Failed, fault_lines
from trading_orchestrator.cli.operate.control import Answer, Request, require_redis, send_requests
from trading_orchestrator.cli.output import print_json

INIT = "celery -A tasks trading init"
RELOAD = "celery -A tasks trading symbols reload"
WRITTEN = "written"
"""Outcome when no worker was running to apply the change."""


def change_file(
    access: Access, edit: Callable[[SymbolsEditor], str], *, reason: str, timeout_s: float, as_json: bool
) -> None:
    """Edit `symbols.yaml`, checked as a whole before it is written, and apply it.

    Raises:
        Failed: The change was rejected; the file is unchanged.
        ConfigError: The edited file would be invalid; the file is unchanged.
    """
    folder = access.settings.config_dir
    if is_installed_config(folder):
        fault = f"{folder} belongs to the installed package and is not edited"
        raise Failed(ExitCode.NO, f"{fault}\ncreate your own files: {INIT}, then retry")
    path, now = folder / SYMBOLS, content_of(access.system, folder)
    before = path.read_bytes().decode()
    try:
        after = edit(SymbolsEditor(before))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    target = content_of(load_system(folder, texts={SYMBOLS: after}), folder)
    refuse_early(access, now, target)
    try:
        backup = replace_file(path, before=before, after=after)
    except OSError as error:
        raise Failed(ExitCode.NO, f"{_cannot_write(path, error)}\nedit it on its own machine, then: {RELOAD}") from None
    answer = _reload(target, access, reason=reason, timeout_s=timeout_s)
    if answer["outcome"] in ("refused", "faulty"):
        replace_file(path, before=after, after=before)
        refused(answer, f"{shown_path(path)} is unchanged")
    show(answer | {"file": str(path), "backup": str(backup)}, as_json=as_json)
    if not as_json:
        click.echo(f"{shown_path(path)} was written; its former content is in {backup.name} in the same folder")


def put_in_force(access: Access, *, reason: str, timeout_s: float, as_json: bool) -> None:
    """Apply the files as they are.

    Raises:
        Failed: The change was rejected, or no worker answered.
        ConfigError: The files are invalid.
    """
    target = content_of(access.system, access.settings.config_dir)
    require_redis(access)
    answer = _send_reload(target, reason=reason, timeout_s=timeout_s)
    if answer["outcome"] in ("refused", "faulty"):
        refused(answer, "nothing was changed")
    show(answer, as_json=as_json)


def refuse_early(access: Access, now: Content, target: Content) -> None:
    """Reject a change that the workers would reject, before it is written; without Redis, compare with the files.

    Raises:
        Failed: The change is rejected.
    """
    try:
        old = AppliedConfig(access.redis, access.settings.namespace).in_force(now)
    except Transient:
        old = now
    change = compare(old, target, lambda symbol: _exposure(access, symbol))
    if change.refusals:
        refused({"refusals": change.refusals, "faults": []}, "nothing was changed")


def refused(answer: Mapping[str, Any], stands: str) -> None:
    """Report why a change was rejected.

    Raises:
        Failed: Always.
    """
    raise Failed(ExitCode.NO, f"rejected, {stands}\n{fault_lines([*answer['refusals'], *answer['faults']])}")


def show(answer: Answer, *, as_json: bool) -> None:
    """Print the result of a change."""
    if as_json:
        print_json(answer)
        return
    click.echo("\n".join(_lines(answer)))


def _lines(answer: Answer) -> list[str]:
    changes = [f"{one['symbol']}: {_shown(one)}" for one in answer["changes"]]
    changes += [f"all symbols: {_differences([one])}" for one in answer["shared"]]
    return [*changes, *_outcome_lines(answer), *answer["notes"], *_unserved(answer), *_idle(answer)]


def _outcome_lines(answer: Answer) -> list[str]:
    if answer["outcome"] == WRITTEN:
        return [f"not applied yet: {answer['reason']}", f"it is applied at the next start, or by: {RELOAD}"]
    if answer["outcome"] == "unchanged":
        return ["nothing to change: the files are already applied"]
    return [f"applied as revision {answer['revision']}: each symbol uses it from its next tick"]


def _shown(one: Mapping[str, Any]) -> str:
    return _differences(one["differences"]) or str(one["change"])


def _differences(differences: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{one['path']}: {_value(one['before'])} -> {_value(one['now'])}" for one in differences)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return "the default" if value is None else str(value)


def _unserved(answer: Answer) -> list[str]:
    if answer["launcher"]:
        return [
            f"{one['symbol']}: the launcher on {answer['launcher']} starts a worker for it"
            for one in answer["unserved"]
        ]
    lines = []
    for one in answer["unserved"]:
        lines.append(f"{one['symbol']}: no worker consumes its queue; either of these commands starts one:")
        lines += [f"  {command}" for command in one["commands"]]
    return lines


def _idle(answer: Answer) -> list[str]:
    if answer["launcher"]:
        return []
    return [f"{one['node']} still consumes the queue of {one['symbol']}:\n  {one['command']}" for one in answer["idle"]]


def _reload(target: Content, access: Access, *, reason: str, timeout_s: float) -> Answer:
    """Apply the change if a worker is running, else report that it was only written."""
    try:
        require_redis(access)
        return _send_reload(target, reason=reason, timeout_s=timeout_s)
    except Transient as trouble:
        why = f"Redis does not answer ({trouble.reason})"
    except Failed as failed:
        if failed.exit_code is not ExitCode.UNANSWERED:
            raise
        why = failed.message.splitlines()[0]
    nothing: Answer = {"changes": [], "shared": [], "notes": [], "unserved": [], "idle": []}
    return {
        "outcome": WRITTEN,
        "revision": None,
        "reason": why,
        "faults": [],
        "refusals": [],
        "launcher": None,
        **nothing,
    }


def _send_reload(target: Content, *, reason: str, timeout_s: float) -> Answer:
    kwargs = {"expected": fingerprint_of_all(target), "reason": reason}
    return send_requests([Request("all symbols", "tasks.reload_config", kwargs)], timeout_s=timeout_s)[0]


def _exposure(access: Access, symbol: str) -> Exposure:
    """Return the open orders and positions of a symbol; none when the ledger does not exist yet."""
    return Exposure() if ledger_revision(access) is None else access.ledger.exposure(symbol)


def _cannot_write(path: object, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror or error})"
