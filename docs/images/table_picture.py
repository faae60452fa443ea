"""Draw the table of the running system into docs/images/table.svg: `python docs/images/table_picture.py`."""

import io
from pathlib import Path

from rich.console import Console

from adapters.wiring.pipeline import open_stores
from adapters.wiring.symbol_status import read_status
from configs.loading import load_system
from configs.settings import load_settings
from trading_orchestrator.launcher.status_table import Overview, render

COLUMNS = 168


def main() -> None:
    settings = load_settings()
    system = load_system(settings.config_dir)
    stores = open_stores(settings, system)
    rows = read_status(stores.redis, stores.ledger, system, settings.namespace)
    where = stores.redis.connection_pool.connection_kwargs
    overview = Overview(
        account=system.account.name,
        balance=stores.ledger.balance(),
        uptime_s=stores.redis.info("server")["uptime_in_seconds"],
        redis=f"{where['host']}:{where['port']}",
        flower_url=f"http://{settings.flower_address}:{settings.flower_port}",
        logs="var/log",
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(render(rows, overview, width=COLUMNS))
    picture = Path(__file__).with_name("table.svg")
    console.save_svg(str(picture), title="make run")


if __name__ == "__main__":
    main()
