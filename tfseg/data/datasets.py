"""Data sets on disk: which photograph belongs to which mask, and what the masks mean."""

import pathlib
from typing import NamedTuple

from tfseg import specs
from tfseg.data.masks import VOID, Labels, some
from tfseg.images import IMAGE_SUFFIXES

MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".mat")


class Pair(NamedTuple):
    """A photograph's path, and its mask's (or what has a method `read()`, as `Drawn`)."""

    image: pathlib.Path
    mask: object


class Dataset(NamedTuple):
    """Pairs of photographs and masks.

    Attributes:
        name: what messages call it.
        pairs: tuple of `Pair`, sorted by name.
        labels: `Labels` of the masks.
        classes, colors: names and `(red, green, blue)` of the classes, or None where unknown.
    """

    name: str
    pairs: tuple
    labels: Labels
    classes: tuple | None = None
    colors: tuple | None = None

    @property
    def num_classes(self):
        return self.labels.num_classes

    def __repr__(self):
        return f"<Dataset {self.name!r}: {len(self.pairs)} pairs, {self.num_classes} classes>"


def folder(root, split=None, *, num_classes, images="images", masks="masks", void=(255,), palette=None, classes=None):
    """Two directories whose files bear the same names: `images/NAME.jpg` and `masks/NAME.png`.

    Args:
        root: directory of both.
        split: None for all of it; or a name: of directories inside both (`images/train/`, `masks/train/`), or of a file
            with a name a line (`train.txt`, in `root` or in `root/splits`); or the path of such a file.
        num_classes: ids of the masks are 0 to num_classes - 1.
        images, masks: names of the two directories; masks may have `_mask` or `_L` behind the image's name.
        void: raw values in the masks that do not count.
        palette: `(red, green, blue)` -> id, for masks that are pictures in colours.
        classes: names.
    Raises:
        ValueError: a directory that is not there, photographs without a mask, no pairs.
    """
    root = pathlib.Path(root)
    images, masks, names = _directory(root, images), _directory(root, masks), None
    if split is not None:
        if (images / split).is_dir() and (masks / split).is_dir():
            images, masks = images / split, masks / split
        else:
            names = names_of(root, split)
    labels = Labels(num_classes, void=tuple(void), palette=palette)
    pairs = _matched(_by_stem(images, IMAGE_SUFFIXES), _by_stem(masks, MASKS, endings=("_mask", "_L")), names, root)
    return Dataset(f"{root.name}/{split}" if split else root.name, pairs, labels, _tuple(classes))


def voc(root, split="train", *, sbd=None):
    """PASCAL VOC: `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/<split>.txt`.

    Args:
        root: the directory `VOC2012`.
        split: "train", "val", "trainval"; or "trainaug", which wants `sbd`: VOC's and SBD's training images and SBD's
            validation images, without those of VOC's validation (10,582 of VOC 2012).
        sbd: the directory `dataset` of the Semantic Boundaries Dataset (`img`, `cls`, `train.txt`, `val.txt`).
    Reference: Everingham et al. 2015, http://host.robots.ox.ac.uk/pascal/VOC; Hariharan et al. 2011.
    """
    root, lists = pathlib.Path(root), ("ImageSets", "Segmentation")

    def pairs(name):
        return [
            Pair(root / "JPEGImages" / f"{stem}.jpg", root / "SegmentationClass" / f"{stem}.png")
            for stem in _lines(root.joinpath(*lists, f"{name}.txt"))
        ]

    if split != "trainaug":
        found = pairs(split)
    elif sbd is None:
        raise ValueError('split="trainaug" is VOC and SBD together: pass sbd=, the directory `dataset` of SBD.')
    else:
        sbd = pathlib.Path(sbd)
        own = pairs("train")
        taken = {pair.image.stem for pair in [*own, *pairs("val")]}
        more = [stem for name in ("train", "val") for stem in _lines(sbd / f"{name}.txt") if stem not in taken]
        found = own + [Pair(sbd / "img" / f"{stem}.jpg", sbd / "cls" / f"{stem}.mat") for stem in dict.fromkeys(more)]
    return _known("voc", split, found, Labels(21))


def cityscapes(root, split="train"):
    """Cityscapes, fine annotations: `leftImg8bit/<split>/<city>`, `gtFine/<split>/<city>/*_labelIds.png`.

    Reference: Cordts et al. 2016, https://arxiv.org/abs/1604.01685
    """
    root, ending = pathlib.Path(root), "_leftImg8bit.png"
    pairs = [
        Pair(image, root / "gtFine" / split / image.parent.name / image.name.replace(ending, "_gtFine_labelIds.png"))
        for image in sorted(_directory(root, "leftImg8bit", split).glob(f"*/*{ending}"))
    ]
    return _known("cityscapes", split, pairs, CITYSCAPES)


def camvid(root, split="train"):
    """CamVid in eleven classes, in any of its forms.

    As prepared for SegNet (`train/`, `trainannot/`, 360x480); two directories (`images/train/`, `masks/train/`) of such
    masks; or the original's colours (`701_StillsRaw_full/`, `LabeledApproved_full/NAME_L.png`, 720x960) with a file
    `train.txt` of names beside them.

    Reference: Brostow et al. 2009; the split and classes of Sturgess et al. 2009, as in Badrinarayanan et al. 2015,
        https://arxiv.org/abs/1511.00561, section 4.1
    """
    root = pathlib.Path(root)
    forms = {
        (root / split, root / f"{split}annot"): CAMVID,
        (root / "images" / split, root / "masks" / split): CAMVID,
        (root / "701_StillsRaw_full", root / "LabeledApproved_full"): CAMVID_COLORS,
    }
    for (images, masks), labels in forms.items():
        if images.is_dir() and masks.is_dir():
            names = names_of(root, split) if labels is CAMVID_COLORS else None
            pairs = _matched(_by_stem(images, IMAGE_SUFFIXES), _by_stem(masks, MASKS, endings=("_L",)), names, root)
            return _known("camvid", split, pairs, labels)
    raise ValueError(
        f"{root}: expected one of CamVid's forms: "
        + "; ".join(" and ".join(str(path.relative_to(root)) for path in form) for form in forms)
        + f". Received: {_listing(root)}."
    )


def ade20k(root, split="training"):
    """ADE20K's scene parsing benchmark: `images/<split>`, `annotations/<split>`; 0 is void, 1 to 150 are the classes.

    Args:
        root: the directory `ADEChallengeData2016`.
        split: "training" or "validation".
    Reference: Zhou et al. 2017, https://arxiv.org/abs/1608.05442
    """
    root = pathlib.Path(root)
    images, masks = _directory(root, "images", split), _directory(root, "annotations", split)
    pairs = _matched(_by_stem(images, IMAGE_SUFFIXES), _by_stem(masks, MASKS), None, root)
    return _known("ade20k", split, pairs, ADE20K)


# The ids of Cityscapes' labels that count, in the order of their training ids.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES = Labels(
    19,
    ids=dict(zip(_CITYSCAPES_IDS, range(19), strict=True)),
    void=tuple(value for value in [*range(34), 255] if value not in _CITYSCAPES_IDS),
)
CAMVID = Labels(11, void=(11, 255))
ADE20K = Labels(150, ids={value: value - 1 for value in range(1, 151)}, void=(0,))

# The original's 32 colours by the class that they become; what is left over is void.
_CAMVID_GROUPS = (
    "808080",  # sky
    "c00080 008040 800000 400040 40c000",  # archway, bridge, building, tunnel, wall
    "c0c080 000040",  # column or pole, traffic cone
    "804080 8000c0 c00040",  # road, lane markings
    "0000c0 40c080 8080c0",  # sidewalk, parking block, road shoulder
    "808000 c0c000",  # tree, other vegetation
    "c08080 808040 004040",  # sign, text, traffic light
    "404080",  # fence
    "400080 4080c0 c080c0 c04080 804040",  # car, pickup, truck or bus, train, other that moves
    "404000 c08040 4000c0 408040",  # pedestrian, child, cart or pram, animal
    "0080c0 c000c0",  # bicyclist, motorcycle or scooter
    "000000",  # void
)
CAMVID_COLORS = Labels(
    11,
    void=(11,),
    palette={
        tuple(bytes.fromhex(color)): value for value, colors in enumerate(_CAMVID_GROUPS) for color in colors.split()
    },
)


def _known(name, split, pairs, labels):
    """A `Dataset` whose classes have names."""
    pairs = tuple(pairs)
    if not pairs:
        raise ValueError(f"{name}/{split}: no photograph is there.")
    missing = [path for pair in pairs for path in pair if not path.is_file()]
    if missing:
        raise ValueError(
            f"{name}/{split}: {len(missing)} of {2 * len(pairs)} files are not there. Received: {missing[0]}, ..."
        )
    return Dataset(f"{name}/{split}", pairs, labels, _tuple(specs.CLASSES[name]), _tuple(specs.COLORS[name]))


def _matched(images, masks, names, root):
    """Pairs of equal stems, of those names or of all; photographs without a mask are an error."""
    wanted = sorted(images) if names is None else names
    lost = [name for name in wanted if name not in images]
    bare = [name for name in wanted if name in images and name not in masks]
    if lost or bare or not wanted:
        what = [f"{len(lost)} names without a photograph ({some(lost)})"] if lost else []
        what += [f"{len(bare)} photographs without a mask ({some(bare)})"] if bare else []
        raise ValueError(
            f"{root}: expected a mask for every photograph, of the same name. Received: "
            f"{' and '.join(what) or 'no photograph'}."
        )
    return tuple(Pair(images[name], masks[name]) for name in wanted)


def _by_stem(directory, suffixes, endings=()):
    """Stem -> path of the files of these kinds, without an ending that masks may have."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            stem = next((path.stem.removesuffix(end) for end in endings if path.stem.endswith(end)), path.stem)
            if stem in found:
                raise ValueError(f"{found[stem]} and {path} bear one name: which of them counts, nobody can tell.")
            found[stem] = path
    return found


def names_of(root, split):
    """The names that a split's file lists: a path, or the name of a file in `root` or `root/splits`."""
    root, split = pathlib.Path(root), pathlib.Path(split)
    places = [split, root / f"{split}.txt", root / "splits" / f"{split}.txt"]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ValueError(
            f"There is no split {str(split)!r}: neither directories of that name nor {places[1]} nor {places[2]}. "
            f"Received: {_listing(root)}."
        )
    # A line may be a path, and may have a second column with the mask.
    return [pathlib.PurePath(line.split()[0]).stem for line in _lines(path)]


def _lines(path):
    if not path.is_file():
        raise ValueError(f"There is no list {path}.")
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def _directory(root, *parts):
    path = root.joinpath(*parts)
    if not path.is_dir():
        raise ValueError(f"There is no directory {path}. Received: {_listing(root)}.")
    return path


def _listing(root):
    if not root.is_dir():
        return f"{root}, which is no directory"
    return some(sorted(path.name for path in root.iterdir())) or f"{root}, which is empty"


def _tuple(values):
    return None if values is None else tuple(values)


__all__ = ["VOID", "Dataset", "Labels", "Pair", "ade20k", "camvid", "cityscapes", "folder", "voc"]
