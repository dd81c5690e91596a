"""Fault-localisation traces: made, read, scored, and judged by simpler methods and by an oracle."""
