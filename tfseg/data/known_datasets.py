"""The public data sets VOC, SBD, Cityscapes, CamVid and ADE20K, in the directories in which they are published."""

import pathlib
from collections.abc import Iterable

from tfseg import specs
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.folders import existing_directory, list_directory, split_lines
from tfseg.data.labels import VOID, Labels
from tfseg.data.named_files import list_files
from tfseg.data.pairing import match
from tfseg.data.split_lists import read_lines
from tfseg.types import Path


def voc(root: Path, split: str = "train", *, sbd: Path | None = None) -> Dataset:
    """PASCAL VOC: `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/<split>.txt`.

    The split "trainaug" has the training images of VOC and SBD and the validation images of SBD, without the validation
    images of VOC. For VOC 2012 these are 10,582 images.

    Args:
        root: directory `VOC2012`.
        split: "train", "val", "trainval", or "trainaug", which needs `sbd`.
        sbd: directory `dataset` of the Semantic Boundaries Dataset (`img`, `cls`, `train.txt`, `val.txt`).
    Returns: `Dataset` with 21 classes.
    Raises:
        ValueError: a missing list or file.
    Reference: Everingham et al. 2015, http://host.robots.ox.ac.uk/pascal/VOC; Hariharan et al. 2011.
    Example:
        >>> import shutil
        >>> root = pathlib.Path("VOC2012")
        >>> for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        ...     (root / name).mkdir(parents=True)
        >>> copies = [shutil.copy("street.png", root / "JPEGImages" / "a.jpg"),
        ...           shutil.copy("street_classes.png", root / "SegmentationClass" / "a.png")]
        >>> size = (root / "ImageSets" / "Segmentation" / "val.txt").write_text("a")
        >>> tfseg.data.voc(root, "val")
        <Dataset 'voc/val': 1 pairs, 21 classes>
    """
    root = pathlib.Path(root)

    def voc_pairs(list_name: str) -> list[Pair]:
        return [
            Pair(root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png")
            for name in read_lines(root / "ImageSets" / "Segmentation" / f"{list_name}.txt")
        ]

    if split != "trainaug":
        return _named_dataset("voc", split, voc_pairs(split), Labels(21))
    if sbd is None:
        raise ValueError('split="trainaug" is VOC and SBD together: pass sbd=, the directory `dataset` of SBD.')
    sbd = pathlib.Path(sbd)
    pairs = voc_pairs("train")
    excluded = {pair.image.stem for pair in [*pairs, *voc_pairs("val")]}
    names = [name for part in ("train", "val") for name in read_lines(sbd / f"{part}.txt") if name not in excluded]
    pairs += [Pair(sbd / "img" / f"{name}.jpg", sbd / "cls" / f"{name}.mat") for name in dict.fromkeys(names)]
    return _named_dataset("voc", split, pairs, Labels(21))


def cityscapes(root: Path, split: str = "train") -> Dataset:
    """Cityscapes, fine annotations: `leftImg8bit/<split>/<city>`, `gtFine/<split>/<city>/*_labelIds.png`.

    Args:
        root: directory that holds `leftImg8bit` and `gtFine`.
        split: "train" or "val".
    Returns: `Dataset` with the 19 classes of the benchmark.
    Raises:
        ValueError: a missing directory or file.
    Reference: Cordts et al. 2016, https://arxiv.org/abs/1604.01685
    Example:
        >>> import shutil
        >>> photographs, masks = pathlib.Path("leftImg8bit/val/ulm"), pathlib.Path("gtFine/val/ulm")
        >>> for directory in (photographs, masks):
        ...     directory.mkdir(parents=True)
        >>> copies = [shutil.copy("street.png", photographs / "ulm_0_leftImg8bit.png"),
        ...           shutil.copy("street_classes.png", masks / "ulm_0_gtFine_labelIds.png")]
        >>> tfseg.data.cityscapes(".", "val")
        <Dataset 'cityscapes/val': 1 pairs, 19 classes>
    """
    root, ending = pathlib.Path(root), "_leftImg8bit.png"
    pairs = [
        Pair(image, root / "gtFine" / split / image.parent.name / image.name.replace(ending, "_gtFine_labelIds.png"))
        for image in sorted(existing_directory(root, "leftImg8bit", split).glob(f"*/*{ending}"))
    ]
    return _named_dataset("cityscapes", split, pairs, CITYSCAPES)


def camvid(root: Path, split: str = "train") -> Dataset:
    """CamVid with eleven classes, in any of three forms.

    * The form for SegNet: `train/` and `trainannot/`, 360x480.
    * Two directories of such masks: `images/train/` and `masks/train/`.
    * The original color images, 720x960: `701_StillsRaw_full/` and `LabeledApproved_full/NAME_L.png`, with a list of
      names `train.txt` beside them.

    Args:
        root: directory that holds one of these forms.
        split: "train", "val" or "test".
    Returns: `Dataset` with 11 classes.
    Raises:
        ValueError: none of these forms, or a missing file.
    Reference: Brostow et al. 2009. The split and the classes are those of Sturgess et al. 2009, as in Badrinarayanan et
        al. 2015, https://arxiv.org/abs/1511.00561, section 4.1.
    Example:
        >>> import shutil
        >>> for directory, file in (("val", "street.png"), ("valannot", "street_classes.png")):
        ...     pathlib.Path("CamVid", directory).mkdir(parents=True)
        ...     copy = shutil.copy(file, pathlib.Path("CamVid", directory, "a.png"))
        >>> tfseg.data.camvid("CamVid", "val").classes[:3]
        ('sky', 'building', 'pole')
    """
    root = pathlib.Path(root)
    forms = {
        (root / split, root / f"{split}annot"): CAMVID,
        (root / "images" / split, root / "masks" / split): CAMVID,
        (root / "701_StillsRaw_full", root / "LabeledApproved_full"): CAMVID_COLORS,
    }
    for (images, masks), labels in forms.items():
        if images.is_dir() and masks.is_dir():
            lines = split_lines(root, split) if labels is CAMVID_COLORS else None
            return _named_dataset(
                "camvid", split, match(root, list_files(images, masks), lines, endings=("_L",)), labels
            )
    raise ValueError(
        f"{root}: expected one of CamVid's forms: "
        + "; ".join(" and ".join(str(path.relative_to(root)) for path in form) for form in forms)
        + f". Received: {list_directory(root)}."
    )


def ade20k(root: Path, split: str = "training") -> Dataset:
    """ADE20K's scene parsing benchmark: `images/<split>`, `annotations/<split>`.

    In the masks, 0 is void and 1 to 150 are the classes.

    Args:
        root: directory `ADEChallengeData2016`.
        split: "training" or "validation".
    Returns: `Dataset` with 150 classes.
    Raises:
        ValueError: a missing directory, or photographs without a mask.
    Reference: Zhou et al. 2017, https://arxiv.org/abs/1608.05442
    Example:
        >>> import shutil
        >>> for directory, file in (("images", "street.png"), ("annotations", "street_classes.png")):
        ...     pathlib.Path("ADE", directory, "validation").mkdir(parents=True)
        ...     copy = shutil.copy(file, pathlib.Path("ADE", directory, "validation", "a.png"))
        >>> tfseg.data.ade20k("ADE", "validation")
        <Dataset 'ade20k/validation': 1 pairs, 150 classes>
    """
    root = pathlib.Path(root)
    images, masks = existing_directory(root, "images", split), existing_directory(root, "annotations", split)
    return _named_dataset("ade20k", split, match(root, list_files(images, masks)), ADE20K)


# The ids of the counted labels of Cityscapes, in the order of their training ids.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES = Labels(
    19,
    ids=dict(zip(_CITYSCAPES_IDS, range(19), strict=True)),
    void=tuple(value for value in [*range(34), VOID] if value not in _CITYSCAPES_IDS),
)
CAMVID = Labels(11, void=(11, VOID))
ADE20K = Labels(150, ids={value: value - 1 for value in range(1, 151)}, void=(0,))

# The 32 original colors, grouped by the class that they become. The last group is void.
_CAMVID_GROUPS = (
    "808080",  # sky.
    "c00080 008040 800000 400040 40c000",  # archway, bridge, building, tunnel, wall.
    "c0c080 000040",  # column or pole, traffic cone.
    "804080 8000c0 c00040",  # road, lane markings.
    "0000c0 40c080 8080c0",  # sidewalk, parking block, road shoulder.
    "808000 c0c000",  # tree, other vegetation.
    "c08080 808040 004040",  # sign, text, traffic light.
    "404080",  # fence.
    "400080 4080c0 c080c0 c04080 804040",  # car, pickup, truck or bus, train, other moving things.
    "404000 c08040 4000c0 408040",  # pedestrian, child, cart or pram, animal.
    "0080c0 c000c0",  # bicyclist, motorcycle or scooter.
    "000000",  # void.
)
CAMVID_COLORS = Labels(
    11,
    void=(11,),
    palette={
        (red, green, blue): value
        for value, colors in enumerate(_CAMVID_GROUPS)
        for red, green, blue in map(bytes.fromhex, colors.split())
    },
)


def _named_dataset(name: str, split: str, pairs: Iterable[Pair], labels: Labels) -> Dataset:
    """A `Dataset` with the class names and colors of `tfseg.specs`, after a check that its files exist."""
    pairs = tuple(pairs)
    if not pairs:
        raise ValueError(f"{name}/{split}: there is no photograph.")
    missing = [path for pair in pairs for path in pair if isinstance(path, pathlib.Path) and not path.is_file()]
    if missing:
        raise ValueError(
            f"{name}/{split}: {len(missing)} of {2 * len(pairs)} files are missing. Received: {missing[0]}, ..."
        )
    return Dataset(f"{name}/{split}", pairs, labels, tuple(specs.CLASSES[name]), tuple(specs.COLORS[name]))
