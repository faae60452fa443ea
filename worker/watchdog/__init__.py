"""The process that ends a worker whose main process is stuck."""
