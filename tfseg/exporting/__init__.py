"""Models on their way out of Python."""

from tfseg.exporting.directory import export, summary
from tfseg.exporting.formats import FORMATS

__all__ = ["FORMATS", "export", "summary"]
