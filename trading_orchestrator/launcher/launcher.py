"""Local launcher: run all processes of the system in one terminal and leave none behind."""

import signal
import time
from contextlib import closing
from datetime import UTC, datetime

import redis
from pydantic import SecretStr
from rich.text import Text

from adapters.database import checkpoint, create_engine
from adapters.ledger.ledger import SqlLedger
from adapters.ledger.schema import migrate, schema_revision
from adapters.redis import keys
from adapters.redis.client import connect
from adapters.wiring.pipeline import open_ledger
from configs.loading import SystemConfig
from configs.redis_url import parse_redis_url
from configs.settings import PREFIX, Settings
from trading.errors import Broken, Transient
from trading_orchestrator.launcher import embedded_redis, process_specs
from trading_orchestrator.launcher.console import PlainConsole
from trading_orchestrator.launcher.doctor import examine
from trading_orchestrator.launcher.live_table import LiveView
from trading_orchestrator.launcher.lock import launch_lock
from trading_orchestrator.launcher.stop_signals import StopSignals
from trading_orchestrator.launcher.supervisor import Supervisor
from trading_orchestrator.launcher.var_files import only_for_owner, short_path, write_private
from trading_orchestrator.launcher.worker_pool import WorkerPool
from worker.checks.check import Health

WATCH_PAUSE_S = 0.2
FAILED, FORCED = 1, 130


def run(
    settings: Settings,
    system: SystemConfig,
    *,
    symbols_per_worker: int = 1,
    table: bool = True,
    flower: bool = True,
    console: PlainConsole | None = None,
) -> int:
    """Start Redis, workers, beat and Flower, keep them alive until Ctrl-C or SIGTERM, and stop them in order.

    Must be called from the main thread. A second Ctrl-C kills what is left at once.

    Args:
        symbols_per_worker: Number of symbols that share one worker process.
        table: Draw the live table in a terminal; without a terminal, print log lines.
        flower: Whether to start Flower.

    Returns:
        Exit code: 0 after a clean stop, 1 when the start failed (the reason was printed), 130 after a forced stop.
    """
    console = console or PlainConsole(soft_wrap=True)
    with only_for_owner(), StopSignals() as signals:
        try:
            with launch_lock(settings.var_dir):
                launch = Launch(settings, system, console, signals)
                try:
                    launch.start(symbols_per_worker=symbols_per_worker, flower=flower)
                    launch.watch(table=table)
                finally:
                    launch.stop()
        except (Broken, Transient) as error:
            console.print(Text(f"cannot start: {error}", style="bold red"))
            return FAILED
        return FORCED if signals.is_forced() else 0


class Launch:
    """One run of the launcher."""

    def __init__(self, settings: Settings, system: SystemConfig, console: PlainConsole, signals: StopSignals) -> None:
        self._settings = settings
        self._system = system
        self._console = console
        self._signals = signals
        self._log_dir = settings.var_dir / "log"
        self._supervisor = Supervisor(self._log_dir, report=self._print, pause=signals.wait)
        self._flower_url: str | None = None
        self._redis_title = ""
        self._owns_redis = False
        self._pool: WorkerPool  # set once Redis answers

    def start(self, *, symbols_per_worker: int, flower: bool) -> None:
        """Start everything, one line per step; a stop request ends the start.

        Raises:
            Broken: Something cannot be started.
            Transient: Redis or the ledger does not answer.
        """
        url = self._find_redis()
        self._settings = self._settings.model_copy(update={"redis_url": SecretStr(url), "supervised": True})
        self._migrate()
        self._check()
        self._pool = WorkerPool(
            self._settings,
            self._system,
            self._supervisor,
            redis_url=url,
            symbols_per_worker=symbols_per_worker,
            report=self._print,
        )
        self._pool.reject_second()
        self._apply_config()
        self._release_markets(url)
        if flower:
            self._prepare_flower()
        self._start_fleet()
        self._print(f"logs in {short_path(self._log_dir)}")

    def watch(self, *, table: bool) -> None:
        """Supervise all processes and show their status until a stop is requested."""
        engine = create_engine(self._ledger_url)
        account = self._system.account
        ledger = SqlLedger(engine, account.name, account.starting_balance, account.day)
        client = connect(self._redis_url)
        try:
            with LiveView(
                self._console,
                client,
                ledger,
                self._system,
                self._settings,
                redis_title=self._redis_title,
                flower_url=self._flower_url,
                is_drawn=table and self._console.is_terminal,
            ) as view:
                while not self._signals.is_stop_requested:
                    self._supervisor.watch()
                    if self._pool.refresh():
                        view.adopt(self._pool.system)
                    view.refresh()
                    self._signals.wait(WATCH_PAUSE_S)
                if self._signals.last is signal.SIGHUP:
                    self._console.quiet = True  # the terminal is closed, and a write would end the clean stop
        finally:
            self._pool.close()
            client.close()
            engine.dispose()

    def stop(self) -> None:
        """Stop everything that was started and remove the address of the embedded Redis."""
        if self._supervisor.statuses():
            self._print("stopping; press Ctrl-C again to stop at once")
        self._supervisor.stop(is_forced=self._signals.is_forced)
        if self._owns_redis:
            self._settings.redis_url_file.unlink(missing_ok=True)
        self._checkpoint()
        self._print("all stopped")

    def _checkpoint(self) -> None:
        for url in (self._settings.ledger_url, self._settings.paper_url):
            try:
                checkpoint(url.get_secret_value(), is_last=True)
            except Transient as error:
                self._print(f"the write-ahead log stays beside its database: {error}")

    @property
    def _redis_url(self) -> str:
        assert self._settings.redis_url is not None
        return self._settings.redis_url.get_secret_value()

    @property
    def _ledger_url(self) -> str:
        return self._settings.ledger_url.get_secret_value()

    def _find_redis(self) -> str:
        configured = self._settings.redis_url
        if configured is None:
            return self._start_redis()
        url = configured.get_secret_value()
        try:
            title = embedded_redis.server_at(url).title
        except redis.RedisError as error:
            raise Broken(
                f"the Redis of {PREFIX}REDIS_URL ({shown_address(url)}) does not answer: {error}. Start it, correct "
                "the URL, or unset it so that the launcher starts its own"
            ) from error
        self._print_redis(title, url, "from the settings")
        return url

    def _start_redis(self) -> str:
        folder = self._settings.var_dir / "redis"
        plan = embedded_redis.plan_redis(folder, port=self._settings.redis_port)
        process = self._supervisor.add(process_specs.redis_process(plan))
        assert process.pid is not None
        try:
            answer = embedded_redis.wait_until_ready(plan, process.pid, has_ended=lambda: process.ended() is not None)
        except Broken as error:
            raise Broken(f"{error}. The end of {process.log_path}:\n{process.log_tail()}") from error
        self._owns_redis = True
        write_private(self._settings.redis_url_file, plan.url + "\n")
        self._print_redis(answer.title, plan.url, short_path(plan.program))
        return plan.url

    def _print_redis(self, title: str, url: str, origin: str) -> None:
        self._redis_title = f"{title} on {shown_address(url)}"
        self._print(f"Redis ({title}) on {shown_address(url)}, {origin}")

    def _migrate(self) -> None:
        engine = create_engine(self._ledger_url)
        try:
            migrate(engine)
            self._print(f"ledger at revision {schema_revision(engine)}")
        finally:
            engine.dispose()

    def _check(self) -> None:
        """Run the start-up checks; a worker exits at start for the same reasons."""
        checks = [check for check in examine(self._settings) if check.health is not Health.OK]
        for check in checks:
            if not check.is_refusal:
                self._print(f"{check.health.value}: {check}")
        if refusals := [str(check) for check in checks if check.is_refusal]:
            raise Broken("\n".join(refusals))

    def _release_markets(self, url: str) -> None:
        """Reset the playback clocks: played markets continue from the last decided candle, not from the current time.

        The time of the last fetch is reset too, so that a symbol shows as starting and not as stale.
        """
        client, namespace = embedded_redis.connect(url), self._settings.namespace
        try:
            for name in self._system.symbols:
                client.delete(keys.market_clock(namespace, name))
                client.hdel(keys.state(namespace, name), "fetched_at_ms")
        except redis.RedisError as error:
            raise Transient("redis", str(error)) from error
        finally:
            client.close()

    def _prepare_flower(self) -> None:
        host, port = self._settings.flower_address, self._settings.flower_port
        if not embedded_redis.is_port_free(port, host):
            self._print(
                f"Flower is not started: port {port} is in use by {embedded_redis.listener_on(port)}; set another with "
                f"{PREFIX}FLOWER_PORT={port + 1}"
            )
            return
        self._flower_url = f"http://{host}:{port}"

    def _apply_config(self) -> None:
        """Check the configuration files against open orders and positions, and apply them.

        Raises:
            Broken: An open order or position forbids a change.
        """
        with closing(open_ledger(self._settings, self._system)) as ledger:
            self._pool.put_in_force(ledger)

    def _start_fleet(self) -> None:
        workers = self._pool.specs()
        specs = [*workers, process_specs.beat_process(self._settings)]
        if self._flower_url:
            specs.append(process_specs.flower_process(self._settings))
        for spec in specs:
            if self._signals.is_stop_requested:
                return
            self._supervisor.add(spec)
        self._print(f"workers: {', '.join(spec.name.removeprefix('worker-') for spec in workers)}")
        self._print("beat started")
        if self._flower_url:
            self._print_flower()

    def _print_flower(self) -> None:
        user = self._settings.flower_user
        if self._settings.flower_password is None:
            where = f"cat {short_path(process_specs.flower_password_file(self._settings))}"
            self._print(f"Flower on {self._flower_url}, user {user}, password: {where}")
        else:
            self._print(f"Flower on {self._flower_url}, user {user}, password from the settings")

    def _print(self, line: str) -> None:
        now = datetime.fromtimestamp(time.time(), UTC).astimezone()
        self._console.print(Text.assemble((f"{now:%H:%M:%S}  ", "dim"), line))


def shown_address(url: str) -> str:
    """Return host and port, or the socket's path, of a Redis URL, without its password."""
    return parse_redis_url(url).place
