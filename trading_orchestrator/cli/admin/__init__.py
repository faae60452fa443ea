"""Commands for configuration, symbols and the ledger."""
