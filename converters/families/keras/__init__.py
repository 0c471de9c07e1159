"""Families whose files come from Keras."""

from converters.families.keras import applications, qubvel

__all__ = ["applications", "qubvel"]
