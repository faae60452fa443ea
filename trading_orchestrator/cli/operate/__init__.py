"""Commands that control the running system."""
