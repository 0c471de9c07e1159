"""Export: the files that deployments run, each compared with the model that it comes from."""

from tfseg.exporting.directory import export, summary
from tfseg.exporting.formats import FORMATS

__all__ = ["FORMATS", "export", "summary"]
