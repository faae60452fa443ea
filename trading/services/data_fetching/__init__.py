"""First stage: fetches new closed candles, each once and in order, and rejects corrupt ones."""

from trading.services.data_fetching.closed_candles import ClosedCandles
from trading.services.data_fetching.service import DataFetchingService, FetchLedger
from trading.services.data_fetching.terms import BATCH_LIMIT, FetchTerms

__all__ = ["BATCH_LIMIT", "ClosedCandles", "DataFetchingService", "FetchLedger", "FetchTerms"]
