"""Report of a backtest: metrics, tables, and curves reduced for drawing."""

from trading.backtest.report.drawdown import Drawdown, drawdown_of
from trading.backtest.report.report import Report, report_of
from trading.backtest.report.statistics import Statistics, statistics_of

__all__ = ["Drawdown", "Report", "Statistics", "drawdown_of", "report_of", "statistics_of"]
