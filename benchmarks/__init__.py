"""Measurements: plain scripts, each of which says what it measures."""
