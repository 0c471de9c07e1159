"""Models on their way out of Python."""

from tfseg.exporting.formats import FORMATS
from tfseg.exporting.writing import export, summary

__all__ = ["FORMATS", "export", "summary"]
