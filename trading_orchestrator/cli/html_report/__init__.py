"""HTML report of a backtest, as one self-contained page."""

from trading_orchestrator.cli.html_report.page import Making, page_of

__all__ = ["Making", "page_of"]
