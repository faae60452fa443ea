"""Templates of a venue and of a candle source that run: `python -m trading_orchestrator.templates NAME` copies them.

- `venue.py`, `source.py`: the two adapters, with a table of the required and the optional methods.
- `client.py`: their connection to the exchange.
- `exchange.py`: a stand-in for the exchange, for tests.
- `tests/`: both adapters in the contract suites.
- `pyproject.template`: becomes pyproject.toml, and declares the entry points.
"""
