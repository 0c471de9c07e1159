"""Families whose files come from TensorFlow 1."""

from converters.families.tensorflow import big_transfer, deeplab, drsleep_deeplabv2, kaffe, pspnet, slim

__all__ = ["big_transfer", "deeplab", "drsleep_deeplabv2", "kaffe", "pspnet", "slim"]
