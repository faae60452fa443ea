"""Starting and supervising all processes on one machine."""
