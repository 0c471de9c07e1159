"""Families whose files come from TensorFlow 1."""

from converters.families.tensorflow import deeplab, drsleep_deeplabv2, kaffe, pspnet, slim

__all__ = ["deeplab", "drsleep_deeplabv2", "kaffe", "pspnet", "slim"]
