"""One module a command; each imports its rooms when it runs."""
