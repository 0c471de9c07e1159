"""What published scores were measured on, by name: data set, split, and the figures to compare with."""

from collections.abc import Callable
from typing import NamedTuple

from tfseg.data import coco_masks, datasets


class Protocol(NamedTuple):
    """How a published score was measured.

    Attributes:
        open: root -> `Dataset`; with `sbd=` where that is needed.
        published: network -> mean IoU in percent.
        source: of the figures.
        needs_sbd: whether the photographs depend on what SBD trains on.
        shorter_side: pixels to which the shorter side of photographs and masks is resized first; None: they stay.
    """

    open: Callable
    published: dict
    source: str
    needs_sbd: bool = False
    shorter_side: int | None = None


def _seg11valid(root, sbd):
    """VOC 2011's validation without what SBD trains on: 736 photographs."""
    whole = datasets.voc(root, "val")
    trained = set(datasets.names_of(sbd, "train"))
    return whole._replace(
        name="voc2011-seg11valid", pairs=tuple(pair for pair in whole.pairs if pair.image.stem not in trained)
    )


PROTOCOLS = {
    # SegNet's split, 233 photographs of 360x480; void does not count.
    "camvid-11": Protocol(
        lambda root: datasets.camvid(root, "test"), {"fcn8s": 57.0}, "https://arxiv.org/abs/1611.09326"
    ),
    "voc2012-val": Protocol(lambda root: datasets.voc(root, "val"), {}, ""),
    # Half of VOC 2011's validation is in SBD's training set, so that no network trained on SBD may be measured on it.
    "voc2011-seg11valid": Protocol(
        _seg11valid,
        {"fcn32s": 63.63, "fcn16s": 65.01, "fcn8s": 65.51},
        "https://github.com/shelhamer/fcn.berkeleyvision.org",
        needs_sbd=True,
    ),
    # torchvision's: 5,000 photographs in VOC's classes, and masks, at a shorter side of 520 pixels.
    "coco-val2017-voc": Protocol(
        lambda root: coco_masks.coco(root, "val"),
        {
            "fcn_resnet50": 60.5,
            "fcn_resnet101": 63.7,
            "deeplabv3_resnet50": 66.4,
            "deeplabv3_resnet101": 67.4,
        },
        "https://docs.pytorch.org/vision/stable/models.html#semantic-segmentation",
        shorter_side=520,
    ),
    "cityscapes-19": Protocol(lambda root: datasets.cityscapes(root, "val"), {}, ""),
    # Class 0 is void, not a class; predictions are never void.
    "ade20k-150": Protocol(lambda root: datasets.ade20k(root, "validation"), {}, ""),
}


def open_protocol(name, root, sbd=None):
    """The `Dataset` of a protocol.

    Raises:
        ValueError: no such protocol, or one that needs SBD's lists.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"The protocols known here are {', '.join(PROTOCOLS)}. Received: {name!r}")
    protocol = PROTOCOLS[name]
    if not protocol.needs_sbd:
        return protocol.open(root)
    if sbd is None:
        raise ValueError(f"{name} leaves out what SBD trains on: pass the directory `dataset` of SBD too (--sbd).")
    return protocol.open(root, sbd)
