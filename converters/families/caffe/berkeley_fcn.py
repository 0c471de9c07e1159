"""The Berkeley FCNs: the networks of PASCAL VOC, PASCAL-Context, SIFT Flow and NYUDv2 as their authors published them.

Source of the facts: https://github.com/shelhamer/fcn.berkeleyvision.org: */net.py, */test.prototxt, *_layers.py.
"""

import dataclasses
import functools

from converters.families import variables
from converters.families.family import Family, FamilyNetwork
from converters.names.tables import table
from tfseg import specs

_SOURCE = "https://github.com/shelhamer/fcn.berkeleyvision.org"
_TRAINED_IN_TURN = ("fcn32s", "fcn16s", "fcn8s")


def network(
    name: str,
    *,
    heads: tuple[str, ...] = ("",),
    first: str = "conv1_1",
    channel_scales: bool = False,
    classes: int | None = None,
    channels: int | None = None,
    public: str | None = None,
) -> FamilyNetwork:
    """One of the four FCNs on VGG16, under Caffe's names, which the PyTorch port kept.

    Args:
        name: name in `tfseg.specs.FCNS`.
        heads: endings of the layers' names, one for each head: ("_sem", "_geo").
        first: name of the first convolution.
        channel_scales: whether the file has the at-once factors, one for each channel.
        classes: number of classes of the first head, where it alone tells the data set; None: any.
        channels: number of channels of the image, where it tells the network; None: any.
        public: name of the public implementation's class.
    """
    upscores = specs.FCNS[name]
    # The row of the first convolution comes before the others, so that the way back finds its name.
    trunk = [(first, "conv1_1", "conv"), ("conv{s}_{i}", "conv{s}_{i}", "conv"), ("fc{i}", "fc{i}", "conv")]
    scores = [(f"score_fr{head}", f"score_fr{head}", "conv") for head in heads]
    rows = [(f"{layer}{head}", f"{layer}{head}", "upconv") for layer, *_ in upscores for head in heads]
    skips = [skip for _, _, skip, _ in upscores if skip]
    rows += [(f"score_{skip}{head}", f"score_{skip}{head}", "conv") for skip in skips for head in heads]
    rows += [(f"scale_{skip}", f"scale_{skip}", "channel_scale") for skip in skips if channel_scales]
    scales = [f"{skip} by {scale}" for _, _, skip, scale in upscores if scale]
    distinct = f"it multiplies {' and '.join(scales)} before the scores" if scales else "it scales no pooling"
    options = {"channel_scales": True} if channel_scales else {}
    return FamilyNetwork(
        name,
        table((*trunk, *scores, *rows)),
        f"{first}.weight",
        functools.partial(variables.fcn, name=name, heads=heads, channel_scales=channel_scales),
        complete=r"(score|scale)_pool\d.*|upscore.*",
        classes=f"score_fr{heads[0]}.weight",
        num_classes=classes,
        channels=channels,
        distinct=distinct,
        options=options,
        public=public,
    )


FCN = Family(
    name="shelhamer/fcn.berkeleyvision.org",
    source=_SOURCE,
    license="BSD-2-Clause",
    covers="FCN-32s, -16s, -8s, -8s-at-once of PASCAL VOC as their authors published them",
    files=_SOURCE,
    formats=("Caffe",),
    preprocessing="fcn",
    networks=(*map(network, _TRAINED_IN_TURN), network("fcn8s_atonce", channel_scales=True)),
    classes="score_fr.weight",
    head=r"(fc6|fc7|score_.*|scale_.*|upscore.*)/.*",
    features="pool5",
    dilates=False,
    conventions=(),
    datasets=("voc",),
    distinct="it has PASCAL VOC's mean",
    proof="OpenCV, 7.5e-7",
)


CONTEXT = dataclasses.replace(
    FCN,
    name="shelhamer/pascalcontext-fcn",
    covers="FCN-32s, -16s, -8s of PASCAL-Context: known by their 60 classes",
    preprocessing="pascal_context",
    networks=tuple(network(name, classes=60) for name in _TRAINED_IN_TURN),
    datasets=("pascal_context",),
    distinct="it has PASCAL-Context's mean",
    proof="OpenCV, 5.6e-7",
)

SIFTFLOW = dataclasses.replace(
    FCN,
    name="shelhamer/siftflow-fcn",
    covers="FCN-32s, -16s, -8s of SIFT Flow: two outputs, semantic and geometric classes",
    preprocessing="siftflow",
    networks=tuple(network(name, heads=("_sem", "_geo")) for name in _TRAINED_IN_TURN),
    classes="score_fr_sem.weight",
    heads={"sem": "score_fr_sem.weight", "geo": "score_fr_geo.weight"},
    datasets=("siftflow",),
    distinct="",
    proof="OpenCV, 6.1e-7",
)

NYUD = dataclasses.replace(
    FCN,
    name="shelhamer/nyud-fcn",
    covers="FCN-32s of NYUDv2, in color or HHA: known by their 40 classes",
    preprocessing="nyud",
    preprocessing_otherwise={"nyud_hha": "nyud-fcn32s-hha, which sees depth encoded in three channels"},
    networks=(network("fcn32s", classes=40, channels=3),),
    datasets=("nyud",),
    distinct="it has NYUDv2's mean",
    proof="OpenCV, 5.3e-7",
)

NYUD_DEPTH = dataclasses.replace(
    NYUD,
    name="shelhamer/nyud-fcn-color-d",
    covers="FCN-32s of NYUDv2, in color and the logarithm of depth: four channels",
    preprocessing="nyud_color_d",
    preprocessing_otherwise={},
    networks=(network("fcn32s", first="conv1_1_bgrd", channels=4),),
    distinct="",
    proof="OpenCV, 7.1e-7",
)
