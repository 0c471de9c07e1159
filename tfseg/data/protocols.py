"""Protocols: on which data set and split published scores were measured, and the scores themselves."""

import dataclasses
from collections.abc import Callable, Mapping

from tfseg.data.coco_masks import coco
from tfseg.data.datasets import Dataset
from tfseg.data.folders import split_lines
from tfseg.data.known_datasets import ade20k, camvid, cityscapes, voc
from tfseg.types import Path


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a published score was measured.

    Attributes:
        open: function from the root directory to the `Dataset`; if `needs_sbd`, SBD's directory is its second argument.
        published: mean IoU in percent of each network.
        source: URL of these scores.
        needs_sbd: whether the choice of photographs depends on SBD's training images.
        shorter_side: shorter side in pixels to which photographs and masks are resized first; None: no resizing.
    Example:
        >>> tfseg.data.PROTOCOLS["camvid-11"].published
        {'fcn8s': 57.0}
    """

    open: Callable[..., Dataset]
    published: Mapping[str, float]
    source: str
    needs_sbd: bool = False
    shorter_side: int | None = None


def _seg11valid(root: Path, sbd: Path) -> Dataset:
    """The 736 validation images of VOC 2011 that are no training images of SBD."""
    validation = voc(root, "val")
    training = set(split_lines(sbd, "train"))
    pairs = tuple(pair for pair in validation.pairs if pair.image.stem not in training)
    return dataclasses.replace(validation, name="voc2011-seg11valid", pairs=pairs)


PROTOCOLS = {
    # SegNet's split, 233 photographs of 360x480; void does not count.
    "camvid-11": Protocol(lambda root: camvid(root, "test"), {"fcn8s": 57.0}, "https://arxiv.org/abs/1611.09326"),
    "voc2012-val": Protocol(lambda root: voc(root, "val"), {}, ""),
    # Half of VOC 2011's validation images are in SBD's training set. A network trained on SBD must not be measured on
    # them.
    "voc2011-seg11valid": Protocol(
        _seg11valid,
        {"fcn32s": 63.63, "fcn16s": 65.01, "fcn8s": 65.51},
        "https://github.com/shelhamer/fcn.berkeleyvision.org",
        needs_sbd=True,
    ),
    # torchvision's protocol: 5,000 photographs with VOC's classes, and masks, at a shorter side of 520 pixels.
    "coco-val2017-voc": Protocol(
        lambda root: coco(root, "val"),
        {
            "fcn_resnet50": 60.5,
            "fcn_resnet101": 63.7,
            "deeplabv3_resnet50": 66.4,
            "deeplabv3_resnet101": 67.4,
        },
        "https://docs.pytorch.org/vision/stable/models.html#semantic-segmentation",
        shorter_side=520,
    ),
    "cityscapes-19": Protocol(lambda root: cityscapes(root, "val"), {}, ""),
    # Class 0 is void, not a class; predictions are never void.
    "ade20k-150": Protocol(lambda root: ade20k(root, "validation"), {}, ""),
}


def open_protocol(name: str, root: Path, sbd: Path | None = None) -> Dataset:
    """The `Dataset` of a protocol.

    Args:
        name: a name of `PROTOCOLS`.
        root: directory of the data set.
        sbd: directory `dataset` of SBD, for protocols that need it.
    Raises:
        ValueError: an unknown protocol, or one that needs `sbd`.
    Example:
        >>> import shutil
        >>> for directory, file in (("test", "street.png"), ("testannot", "street_classes.png")):
        ...     pathlib.Path("CamVid", directory).mkdir(parents=True)
        ...     copy = shutil.copy(file, pathlib.Path("CamVid", directory, "a.png"))
        >>> tfseg.data.open_protocol("camvid-11", "CamVid")
        <Dataset 'camvid/test': 1 pairs, 11 classes>
    """
    if name not in PROTOCOLS:
        raise ValueError(f"The known protocols are {', '.join(PROTOCOLS)}. Received: {name!r}")
    protocol = PROTOCOLS[name]
    if not protocol.needs_sbd:
        return protocol.open(root)
    if sbd is None:
        raise ValueError(f"{name} excludes SBD's training images: pass the directory `dataset` of SBD too (--sbd).")
    return protocol.open(root, sbd)
