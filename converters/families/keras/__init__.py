"""Families whose files come from Keras."""

from converters.families.keras import applications, bonlime, bubbliiiing, divamgupta, pspnet, qubvel

__all__ = ["applications", "bonlime", "bubbliiiing", "divamgupta", "pspnet", "qubvel"]
