"""Asking switches and host agents, returning the house's tables."""
