"""Synthetic fabrics of any size, as tables, and a clock for the stages of a cycle."""
