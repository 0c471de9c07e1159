"""Caffe's own: the Oxford VGGs, Microsoft's ResNets, DeepLabV2 and PSPNet on such.

Facts read off https://github.com/KaimingHe/deep-residual-networks: prototxt/*.prototxt; off https://github.com/hszhao/PSPNet:
evaluation/prototxt/*; and off the layers of the files themselves.
"""

from converters.families.family import Family, Network
from converters.families.trunks import FEATURES, HEAD, network
from converters.rules import table
from tfseg import specs

_TOP = (("fc6", "fc6", "dense7x7"), ("fc7", "fc7", "dense"), ("fc8", "fc8", "dense"))
_VGG = table((("conv{s}_{i}", "conv{s}_{i}", "conv"), *_TOP))


def vgg(depth, names=_VGG, weight=".weight"):
    """The `Network` of a VGG whose convolutions bear the authors' names; `weight` is how those of its kernels end."""
    convolutions = {
        f"conv{stage}_{index}{weight}"
        for stage, count in enumerate(specs.VGG_CONVS[depth], 1)
        for index in range(1, count + 1)
    }

    def differences(shapes):
        found = {key for key in shapes if key.startswith("conv") and key.endswith(weight)}
        wrong = [] if found == convolutions else [f"has {len(found)} convolutions instead of {len(convolutions)}"]
        reduced = shapes.get(f"fc6{weight}", ())[2:] == (3, 3)
        return [*wrong, "has the fc6 of 3x3 pixels that DeepLab reduced it to"] if reduced else wrong

    return Network(f"vgg{depth}", names, differences, f"conv1_1{weight}")


VGG = Family(
    name="oxford/vgg",
    source="https://github.com/BVLC/caffe/wiki/Model-Zoo",
    licence="CC-BY-4.0",
    covers="VGG 16 and 19 (`VGG_ILSVRC_16_layers.caffemodel`), or their convolutions alone",
    files="https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
    formats=("Caffe",),
    preprocessing="caffe",
    networks=tuple(map(vgg, (16, 19))),
    classes="fc8.weight",
    head=r"fc[678]/.*",
    options={"ceil_pool": True},
    conventions=(),
    proof="OpenCV, 1.2e-6",
)


def _resnet(depth):
    biases = "stem" if depth == 50 else ""  # of ResNet-50's first convolution, and no other
    spec = specs.RESNETS[f"resnet{depth}"]._replace(biases=biases)
    rows = [*resnet_rows(depth), ("fc1000", "predictions", "dense")]
    return network(f"resnet{depth}", spec, rows, options={"biases": biases})


def _normalised(conv, norm, target):
    """The rows of a convolution and of the two layers behind it that normalise its result."""
    return (
        (conv, f"{target}_conv", "conv"),
        (f"bn{norm}", f"{target}_bn", "batchnorm"),
        (f"scale{norm}", f"{target}_bn", "scale"),
    )


def resnet_rows(depth, normalised=_normalised):
    """The rows of the authors' ResNet without its top; `normalised` gives those of a convolution and its norm."""
    rows = [*normalised("conv1", "_conv1", "conv1")]
    for stage, count in enumerate(specs.RESNETS[f"resnet{depth}"].blocks, 2):
        # Blocks are a, b, c, ...; in the long stages of the deeper two a, b1, b2, ...
        lettered = depth == 50 or count <= 3
        for letter, number in [("{b:a}", "{b}")] if lettered else [("a", "1"), ("b{b-1}", "{b}")]:
            branch, block = f"{stage}{letter}_branch", f"conv{stage}_block{number}"
            rows += normalised(f"res{branch}1", f"{branch}1", f"{block}_0")
            rows += normalised(f"res{branch}2{{c:a}}", f"{branch}2{{c:a}}", f"{block}_{{c}}")
    return rows


RESNET = Family(
    name="KaimingHe/deep-residual-networks",
    source="https://github.com/KaimingHe/deep-residual-networks",
    licence="MIT",
    covers="ResNet 50, 101, 152, the authors' own",
    files="https://github.com/KaimingHe/deep-residual-networks",
    formats=("Caffe",),
    preprocessing="caffe",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="fc1000.weight",
    head=r"predictions/.*",
    options={"stride_in": "1x1", "stem_pool": (0, 1)},
    conventions=("previous", "new"),  # which are one where a 1x1 strides
    proof="OpenCV, 8.7e-7",
)

DEEPLABV2 = Family(
    name="liangchiehchen/deeplab_aspp_resnet101",
    source="https://github.com/isht7/pytorch-deeplab-resnet/blob/master/data/test.prototxt",
    licence="BSD-2-Clause",
    covers="DeepLabV2 on ResNet-101, the maximum over three sizes of the image",
    files="http://liangchiehchen.com/projects/DeepLabv2_resnet.html",
    formats=("Caffe",),
    preprocessing="deeplab",
    networks=(
        network(
            "deeplabv2_resnet101",
            specs.RESNETS["resnet101"],
            [*resnet_rows(101), ("fc1_voc12_c{i}", "aspp_logits_{i}", "conv")],
            ignored=((r".*_res0?(75|5).*", "the same weights once more, for the image at another size"),),
        ),
    ),
    classes="fc1_voc12_c0.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "stride_in": "1x1",
        "stem_pool": (1, 2),
        "multi_scale": (0.75, 0.5),
        "upsampling": "bilinear_align_corners",
    },
    conventions=("previous", "new"),
    datasets=("voc",),
    proof="OpenCV, 1.3e-6, one size of the image",
)


def _psp_rows(conv, target):
    """The rows of a convolution and of the fork's own normalisation."""
    return (conv, f"{target}_conv", "conv"), (f"{conv}/bn", f"{target}_bn", "bn")


PSPNET_ROWS = (
    *_psp_rows("conv1_1_3x3_s2", "conv1_1"),
    *(row for index in (2, 3) for row in _psp_rows(f"conv1_{index}_3x3", f"conv1_{index}")),
    *(
        row
        for part, index in (("1x1_proj", 0), ("1x1_reduce", 1), ("3x3", 2), ("1x1_increase", 3))
        for row in _psp_rows(f"conv{{s}}_{{b}}_{part}", f"conv{{s}}_block{{b}}_{index}")
    ),
    *_psp_rows("conv5_3_pool{n}_conv", "ppm_{n}"),
    *_psp_rows("conv5_4", "head"),
    ("conv6", "logits", "conv"),
)
_PSPNET_STEM = {"stem": (64, 64, 128), "stride_in": "1x1", "stem_pool": (1, 2)}

PSPNET = Family(
    name="hszhao/PSPNet",
    source="https://github.com/hszhao/PSPNet",
    licence="BSD-2-Clause",
    covers="PSPNet on ResNet-50 and -101, the original: its poolings are those of images of 473 or 713 pixels",
    files="https://github.com/hszhao/PSPNet",
    formats=("Caffe",),
    preprocessing="caffe",
    # ADE20K's network strides in a 1x1, those of VOC and Cityscapes in the 3x3 behind it.
    networks=tuple(
        network(
            f"pspnet_{name}",
            specs.RESNETS[name]._replace(stem=_PSPNET_STEM["stem"]),
            PSPNET_ROWS,
            options=options,
        )
        for name, options in (("resnet50", {}), ("resnet101", {"stride_in": "3x3"}))
    ),
    classes="conv6.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "convention": "new",
        "order": "reversed",
        "upsampling": "bilinear_align_corners",
    }
    | _PSPNET_STEM,
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
    proof="OpenCV, 2.7e-6",
)
