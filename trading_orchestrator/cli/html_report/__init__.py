"""The report of a replay as one HTML page that needs nothing else."""

from trading_orchestrator.cli.html_report.page import Making, page_of

__all__ = ["Making", "page_of"]
