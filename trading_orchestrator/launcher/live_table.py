"""Live status table in a terminal, or periodic status lines without one."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import redis
from rich.live import Live
from rich.text import Text

from adapters.wiring.symbol_status import LedgerReader, SymbolStatus, read_status
from configs.loading import SystemConfig
from configs.settings import Settings
from trading.errors import Transient
from trading_orchestrator.launcher.console import PlainConsole
from trading_orchestrator.launcher.status_table import Overview, render
from trading_orchestrator.launcher.var_files import short_path

REFRESH_S = 1.0
LARGEST_SHARE = 0.1
"""Maximum share of time spent reading; many symbols are read less often."""


class LiveView:
    """Status display of the launcher; `refresh` is cheap to call often."""

    def __init__(
        self,
        console: PlainConsole,
        client: redis.Redis,
        ledger: LedgerReader,
        system: SystemConfig,
        settings: Settings,
        *,
        redis_title: str,
        flower_url: str | None,
        is_drawn: bool,
    ) -> None:
        self._console = console
        self._client = client
        self._ledger = ledger
        self._system = system
        self._settings = settings
        self._redis_title = redis_title
        self._flower_url = flower_url
        self._live = Live(console=console, auto_refresh=False, transient=False) if is_drawn else None
        self._pause_s = REFRESH_S if is_drawn else system.orchestrator.status_log_interval
        self._started_s = time.monotonic()
        self._next_s = 0.0 if is_drawn else self._started_s + self._pause_s
        self._rows: Sequence[SymbolStatus] = ()
        self._balance: float | None = None
        self._trouble = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def adopt(self, system: SystemConfig) -> None:
        """Use another configuration from now on."""
        self._system = system

    def refresh(self) -> None:
        """Read and show the status when the next refresh is due."""
        began_s = time.monotonic()
        if began_s < self._next_s:
            return
        self._read()
        if self._live:
            table = render(self._rows, self._overview(), width=self._console.width)
            self._live.update(table, refresh=True)
        else:
            self._console.print(Text(self._line()))
        took_s = time.monotonic() - began_s
        self._next_s = began_s + max(self._pause_s, took_s / LARGEST_SHARE)

    def _read(self) -> None:
        try:
            self._rows = read_status(self._client, self._ledger, self._system, self._settings.namespace)
            self._balance = self._ledger.balance()
        except Transient as error:
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _overview(self) -> Overview:
        return Overview(
            account=self._system.account.name,
            balance=self._balance,
            uptime_s=time.monotonic() - self._started_s,
            redis=self._redis_title,
            flower_url=self._flower_url,
            logs=short_path(self._settings.var_dir / "log"),
            trouble=self._trouble,
            decimals=self._system.account.money_decimals,
        )

    def _line(self) -> str:
        if self._trouble:
            return f"status: {self._trouble}"
        total = sum(row.realised + row.unrealised for row in self._rows)
        decimals = self._system.account.money_decimals
        states = ", ".join(f"{row.symbol} {row.state_words} {row.units:+g}" for row in self._rows)
        return f"status: balance {self._balance:,.{decimals}f}, P&L {total:+,.{decimals}f}; {states}"
