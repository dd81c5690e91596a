"""Append-only tables (Delta Lake) and small mutable state (SQLite)."""
