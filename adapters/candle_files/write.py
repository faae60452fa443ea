"""Write candles to a file that a `file` source plays."""

import gzip
import tempfile
from pathlib import Path

import pandas as pd

from adapters.candle_files.errors import CandleFileError
from adapters.candle_files.play import read_unspaced
from trading.market.candles import Candles

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def write_candles(path: Path, candles: Candles, *, overwrite: bool = False) -> None:
    """Write candles to a temporary file, read it back, and then rename it.

    Args:
        path: Ends in one of `SUFFIXES`.
        candles: At least one, checked.

    Raises:
        CandleFileError: The file exists already, its name has another ending, or it could not be written.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise CandleFileError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
    if path.exists() and not overwrite:
        raise CandleFileError(f"{path}: exists already; --force replaces it")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            written = Path(folder) / f"new{suffix}"
            _write(written, candles)
            if read_unspaced(written) != candles:
                raise CandleFileError(f"{path}: the file read back differs from the candles written; it was deleted")
            written.replace(path)
    except OSError as error:
        raise CandleFileError(f"{path}: cannot be written: {error}") from error


def _write(path: Path, candles: Candles) -> None:
    frame = candles.frame()
    if path.name.endswith(".parquet"):
        try:
            frame.reset_index().to_parquet(path, index=False)
        except ImportError as error:
            raise CandleFileError(f"{path.name}: Parquet needs pyarrow, which is not installed") from error
        return
    has_parts_of_seconds = bool((candles.open_ms % 1000).any())
    frame.index = pd.DatetimeIndex(frame.index).strftime(
        "%Y-%m-%dT%H:%M:%S" + (".%fZ" if has_parts_of_seconds else "Z")
    )
    text = frame.to_csv(index_label="timestamp", lineterminator="\n")
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))
    else:
        path.write_text(text, encoding="utf-8")
