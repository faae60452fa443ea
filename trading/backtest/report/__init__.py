"""What a replay is worth: metrics, tables, and curves thin enough to draw."""

from trading.backtest.report.drawdown import Drawdown, drawdown_of
from trading.backtest.report.report import Report, report_of
from trading.backtest.report.statistics import Statistics, statistics_of

__all__ = ["Drawdown", "Report", "Statistics", "drawdown_of", "report_of", "statistics_of"]
