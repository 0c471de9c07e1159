"""Families whose files come from TensorFlow 1."""

from converters.families.tensorflow import drsleep_deeplabv2, kaffe, pspnet, slim

__all__ = ["drsleep_deeplabv2", "kaffe", "pspnet", "slim"]
