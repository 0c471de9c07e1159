"""Photographs and masks: data sets on disk, their masks as class ids, and batches for training."""

from tfseg.data.coco_masks import coco
from tfseg.data.datasets import VOID, Dataset, Labels, Pair, ade20k, camvid, cityscapes, folder, voc
from tfseg.data.inspection import Inspection, contact_sheet, inspect_dataset
from tfseg.data.masks import read_mask
from tfseg.data.pipeline import Augmentation, batches
from tfseg.data.protocols import PROTOCOLS, open_protocol

__all__ = [
    "PROTOCOLS",
    "VOID",
    "Augmentation",
    "Dataset",
    "Inspection",
    "Labels",
    "Pair",
    "ade20k",
    "batches",
    "camvid",
    "cityscapes",
    "coco",
    "contact_sheet",
    "folder",
    "inspect_dataset",
    "open_protocol",
    "read_mask",
    "voc",
]
