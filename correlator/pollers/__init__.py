"""Asking switches and host agents, and saying what they said in the house's tables."""
