"""Photographs and masks: data sets on disk, their masks as class ids, and batches for training."""

from tfseg.data.augmentation import Augmentation
from tfseg.data.coco_masks import coco
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.folders import folder
from tfseg.data.inspection import Inspection, contact_sheet, inspect_dataset
from tfseg.data.known_datasets import ade20k, camvid, cityscapes, voc
from tfseg.data.masks import VOID, Labels, MaskSource, read_mask
from tfseg.data.pipeline import batches
from tfseg.data.protocols import PROTOCOLS, Protocol, open_protocol

__all__ = [
    "PROTOCOLS",
    "VOID",
    "Augmentation",
    "Dataset",
    "Inspection",
    "Labels",
    "MaskSource",
    "Pair",
    "Protocol",
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
