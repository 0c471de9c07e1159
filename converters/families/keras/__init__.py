"""Families whose files come from Keras."""

from converters.families.keras import applications, bonlime, qubvel

__all__ = ["applications", "bonlime", "qubvel"]
