"""The host agent: a small program of its own on each Docker host."""
