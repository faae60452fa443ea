"""Rows as a strategy sees them."""

import numpy as np
import pandas as pd


def frame(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.Index(np.arange(count) * 60_000, name="open_ms"), dtype=np.float64)
