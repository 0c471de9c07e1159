"""Checkpoint files that their authors publish: where each one is, which bytes it is, which network it holds."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from converters.errors import ConversionError
from converters.types import Path


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """One published file.

    Attributes:
        name: unique; the published file name without its ".pth".
        urls: where the publisher keeps it, in the order to try.
        family: the family of key names that it is written in.
        network: the network of that family that it holds.
        hash: "algorithm:hex" as published, perhaps only the first digits ("sha256:397923af").
        mebibytes: the file's size as published (rounded to a thousandth); None where the publisher does not say.
        license: what the publisher says of the weights, and no more.
        source: the page or file that this row was read from.
    """

    name: str
    urls: tuple[str, ...]
    family: str
    network: str
    hash: str
    mebibytes: float | None
    license: str
    source: str

    @property
    def filename(self) -> str:
        """The name under which the cache keeps it."""
        return self.name + ".pth"


_TERMS = "torchvision is BSD-3-Clause; its weights may have terms of their own, derived from {} they were trained on"
_IMAGENET = _TERMS.format("the ImageNet-1k images")
_COCO = _TERMS.format("the COCO 2017 images (and ImageNet-1k, for the backbone)")

# One file a line, and its size in MiB as published. torchvision's naming rule: the eight digits after the last dash
# are the first of the file's SHA-256.
_TORCHVISION = {
    "torchvision/vgg": """
        vgg11-8a719046 506.84
        vgg11_bn-6002323d 506.881
        vgg13-19584684 507.545
        vgg13_bn-abd245e5 507.59
        vgg16-397923af 527.796
        vgg16_bn-6c64b313 527.866
        vgg19-dcbb9e9d 548.051
        vgg19_bn-c79401a0 548.143
    """,
    # Two recipes, IMAGENET1K_V1 and _V2, where there are two. The V1 files of the two wide ResNets hold half precision.
    "torchvision/resnet": """
        resnet101-63fe2227 170.511
        resnet101-cd907fc2 170.53
        resnet152-394f9c45 230.434
        resnet152-f82ba261 230.474
        resnet18-f37072fd 44.661
        resnet34-b627a593 83.275
        resnet50-0676ba61 97.781
        resnet50-11ad3fa6 97.79
        resnext101_32x8d-8ba56ff5 339.586
        resnext101_32x8d-110c445d 339.673
        resnext101_64x4d-173b62eb 319.318
        resnext50_32x4d-7cdf4587 95.789
        resnext50_32x4d-1a0047aa 95.833
        wide_resnet101_2-32ee1156 242.896
        wide_resnet101_2-d733dc28 484.747
        wide_resnet50_2-95faca4d 131.82
        wide_resnet50_2-9ba9bcbe 263.124
    """,
    "torchvision/segmentation": """
        fcn_resnet101_coco-7ecb50ca 207.711
        deeplabv3_resnet50_coco-cd0a2569 160.515
        deeplabv3_resnet101_coco-586e9e4e 233.217
        fcn_resnet50_coco-1167a1af 135.009
    """,
}

# The V1 weights as they were published until 2020, in torch's older file format. The links still work.
_TORCHVISION_LEGACY = {
    "torchvision/resnet": """
        resnet18-5c106cde
        resnet34-333f7ec4
        resnet50-19c8e357
        resnet101-5d3b4d8f
        resnet152-b121ed2d
    """,
}

# The same naming rule.
_DRN = """
    drn_c_26-ddedf421
    drn_c_42-9d336e8c
    drn_c_58-0a53a92c
    drn_d_22-4bd2f8ea
    drn_d_38-eebb45f0
    drn_d_54-0e0534ff
    drn_d_105-12b40979
"""

# The same naming rule. Detectron's, then Detectron2's.
_MMCV = {
    "resnet50_caffe-788b5fa3": "resnet50_caffe_padded",
    "resnet101_caffe-3ad79236": "resnet101_caffe_padded",
    "resnet50_msra-5891d200": "resnet50_caffe_padded",
    "resnet101_msra-6cc46731": "resnet101_caffe_padded",
}

_CONVERTED = "pytorch-fcn's code is MIT; for its converted weights it states no license. "
_FCN = _CONVERTED + "The Caffe originals: as Caffe (BSD-2-Clause) and its bundled models, unrestricted use"
_VGG = _CONVERTED + "The Caffe original: see https://www.robots.ox.ac.uk/~vgg/research/very_deep/"

# name: network, MD5, Google Drive ids
_WKENTARO = {
    "fcn32s_from_caffe": ("fcn32s", "d3eb467a80e7da0468a20dfcbc13e6c8", "11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f"),
    "fcn16s_from_caffe": ("fcn16s", "a2d4035f669f09483b39c9a14a0d6670", "1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP"),
    "fcn8s_from_caffe": ("fcn8s", "de93e540ec79512f8770033849c8ae89", "1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI"),
    "fcn8s-atonce_from_caffe": ("fcn8s_atonce", "bfed4437e941fef58932891217fe6464", "0B9P1L--7Wd2vblE1VUIxV1o2d2M"),
    "vgg16_from_caffe": (
        *("vgg16", "aa75b158f4181e7f6230029eb96c1b13"),
        *("1adDBTGY3GcEB_47dvcibajyzi872RAs3", "0B9P1L--7Wd2vLTJZMXpIRkVVRFk"),
    ),
}

# Replaced in 2021 by the files above, under the same file names. People still have them, so they need names too.
_WKENTARO_2017 = {
    "fcn32s_from_caffe_2017": ("fcn32s", "8acf386d722dc3484625964cbe2aba49", "0B9P1L--7Wd2vM2oya3k0Zlgtekk"),
    "fcn16s_from_caffe_2017": ("fcn16s", "991ea45d30d632a01e5ec48002cac617", "0B9P1L--7Wd2vVGE3TkRMbWlNRms"),
    "fcn8s_from_caffe_2017": ("fcn8s", "dbd9bbb3829a3184913bccc74373afbb", "0B9P1L--7Wd2vT0FtdThWREhjNkU"),
}


def _torchvision(names: Mapping[str, str], source: str) -> Iterator[PublishedFile]:
    for family, listed in names.items():
        for line in listed.split("\n")[1:-1]:
            name, *size = line.split()
            network, _, digits = name.rpartition("-")
            yield PublishedFile(
                name=name,
                urls=(f"https://download.pytorch.org/models/{name}.pth",),
                family=family,
                network=network.removesuffix("_coco"),
                hash=f"sha256:{digits}",
                mebibytes=float(size[0]) if size else None,
                license=_COCO if network.endswith("_coco") else _IMAGENET,
                source=source,
            )


def _wkentaro(files: Mapping[str, tuple[str, ...]], commit: str) -> Iterator[PublishedFile]:
    for name, (network, md5, *ids) in files.items():
        yield PublishedFile(
            name=name,
            urls=tuple(f"https://drive.google.com/uc?id={id_}" for id_ in ids),
            family="wkentaro/vgg16_from_caffe" if network == "vgg16" else "wkentaro/pytorch-fcn",
            network=network,
            hash=f"md5:{md5}",
            mebibytes=None,
            license=_VGG if network == "vgg16" else _FCN,
            source=f"https://github.com/wkentaro/pytorch-fcn/tree/{commit}/torchfcn/models",
        )


def _drn(names: str) -> Iterator[PublishedFile]:
    for name in names.split():
        network, _, digits = name.rpartition("-")
        yield PublishedFile(
            name=name,
            urls=(f"http://dl.yf.io/drn/{name}.pth",),
            family="fyu/drn",
            network=network,
            hash=f"sha256:{digits}",
            mebibytes=None,
            license="drn's code is BSD-3-Clause; of its weights, trained on ImageNet-1k images, it says nothing more",
            source="https://github.com/fyu/drn/blob/d75db2ee7070426db7a9264ee61cf489f8cf178c/drn.py",
        )


def _mmcv(files: Mapping[str, str]) -> Iterator[PublishedFile]:
    for name, network in files.items():
        yield PublishedFile(
            name=name,
            urls=(f"https://download.openmmlab.com/pretrain/third_party/{name}.pth",),
            family="open-mmlab/mmcv",
            network=network,
            hash=f"sha256:{name.rpartition('-')[2]}",
            mebibytes=None,
            license="mmcv's code is Apache-2.0; of these weights, which come from Detectron's, it says nothing more",
            source="https://github.com/open-mmlab/mmcv/blob/v1.7.2/mmcv/model_zoo/open_mmlab.json",
        )


PUBLISHED = (
    *_torchvision(_TORCHVISION, "https://docs.pytorch.org/vision/stable/models.html"),
    *_torchvision(_TORCHVISION_LEGACY, "https://github.com/pytorch/vision/issues/2068"),
    *_wkentaro(_WKENTARO, "4b988509bfd1a613d5e8482595a1c6654047d69b"),
    *_wkentaro(_WKENTARO_2017, "1f1a7f3cf73404c5e8c11c90f5a18a3b56333d21"),
    *_drn(_DRN),
    *_mmcv(_MMCV),
)


def find(name: str) -> PublishedFile | None:
    """The `PublishedFile` of that name, with or without ".pth"; `None` where there is none."""
    name = name.removesuffix(".pth")
    return next((row for row in PUBLISHED if row.name == name), None)


def recognize(
    path: Path,
    *,
    algorithms: Iterable[str] = ("sha256",),
    hasher: Callable[[Path, str], str] | None = None,
) -> PublishedFile | None:
    """The `PublishedFile` whose file this is, whatever it is called; `None` for a file of no row.

    Args:
        path: a local file.
        algorithms: which published hashes to compare with. Each costs one reading of the file: torchvision publishes
            "sha256", pytorch-fcn "md5".
        hasher: a function with the signature of `digest`, which is the default. A caller that remembers hashes passes
            its own.
    Raises: ConversionError naming a file that cannot be read.
    """
    hasher = hasher or digest
    for algorithm in algorithms:
        received = f"{algorithm}:{hasher(path, algorithm)}"
        for row in PUBLISHED:
            # A published hash may be a prefix: eight digits tell files apart, they do not prove one genuine.
            if received.startswith(row.hash):
                return row
    return None


def digest(path: Path, algorithm: str) -> str:
    """The file's hash as lower-case hex, read in pieces (`hashlib` lets other threads run meanwhile).

    Raises: ConversionError naming a file that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, functools.partial(new_hash, algorithm)).hexdigest()
    except OSError as error:
        raise ConversionError(
            f"{path}: its {algorithm} cannot be computed; expected a readable file. Received: {error}. "
            "Check the path and its permissions."
        ) from error


def new_hash(algorithm: str) -> "hashlib._Hash":
    """A hash of `hashlib` that bytes can be added to."""
    # Machines in FIPS mode refuse MD5 unless told that it protects nothing.
    return hashlib.new(algorithm, usedforsecurity=False)
