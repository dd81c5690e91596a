"""Incident events, outward."""
