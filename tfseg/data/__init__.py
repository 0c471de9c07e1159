"""Photographs and masks: data sets on disk, their masks as class ids, and batches for training."""

from tfseg.data.annotation_options import AnnotationOptions
from tfseg.data.array_batches import array_batches
from tfseg.data.augmentation import Augmentation
from tfseg.data.coco_annotations import coco_json
from tfseg.data.coco_masks import coco
from tfseg.data.contact_sheets import contact_sheet
from tfseg.data.cvat_annotations import cvat
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.findings import Finding, shared_photographs
from tfseg.data.folders import folder
from tfseg.data.inspection import Inspection, inspect_dataset
from tfseg.data.known_datasets import ade20k, camvid, cityscapes, voc
from tfseg.data.labelme_annotations import labelme
from tfseg.data.labels import VOID, Labels
from tfseg.data.masks import MaskSource, read_mask
from tfseg.data.photographs import Photographs
from tfseg.data.pipeline import batches
from tfseg.data.protocols import PROTOCOLS, Protocol, open_protocol
from tfseg.data.shares import split_randomly

__all__ = [
    "PROTOCOLS",
    "VOID",
    "AnnotationOptions",
    "Augmentation",
    "Dataset",
    "Finding",
    "Inspection",
    "Labels",
    "MaskSource",
    "Pair",
    "Photographs",
    "Protocol",
    "ade20k",
    "array_batches",
    "batches",
    "camvid",
    "cityscapes",
    "coco",
    "coco_json",
    "contact_sheet",
    "cvat",
    "folder",
    "inspect_dataset",
    "labelme",
    "open_protocol",
    "read_mask",
    "shared_photographs",
    "split_randomly",
    "voc",
]
