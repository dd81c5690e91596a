"""Correlates slow containers with the links between their hosts."""
