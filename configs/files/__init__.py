"""The two YAML files as text: reading, overrides, JSON schema, errors of validation, editing in place."""
