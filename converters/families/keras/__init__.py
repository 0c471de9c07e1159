"""Families whose files come from Keras."""

from converters.families.keras import applications

__all__ = ["applications"]
