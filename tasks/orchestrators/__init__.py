"""The orchestrators of a cluster and of a single process."""
