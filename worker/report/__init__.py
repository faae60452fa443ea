"""The report of a replay as one HTML page that needs nothing else."""

from worker.report.page import Making, page_of

__all__ = ["Making", "page_of"]
