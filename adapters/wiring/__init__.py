"""Construction of pipelines, venues and symbol access from the configuration."""
