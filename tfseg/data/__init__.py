"""Photographs and masks: data sets on disk, their masks as class ids, and batches for training."""

from tfseg.data.datasets import VOID, Dataset, Labels, Pair, ade20k, camvid, cityscapes, folder, voc
from tfseg.data.masks import read_mask
from tfseg.data.pipeline import Augmentation, batches

__all__ = [
    "VOID",
    "Augmentation",
    "Dataset",
    "Labels",
    "Pair",
    "ade20k",
    "batches",
    "camvid",
    "cityscapes",
    "folder",
    "read_mask",
    "voc",
]
