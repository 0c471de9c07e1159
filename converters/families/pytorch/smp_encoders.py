"""The encoders of segmentation_models.pytorch: whose network each is, its names, and the maps that decoders read.

Source of the facts: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.1 to 0.6: encoders/*.py.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from converters.families import light_trunks, light_variables, variables
from converters.families.pytorch.cadene import CADENE, CADENE_NAMES
from converters.families.pytorch.torchvision import vgg_features
from converters.families.trunks import renamed, trunk
from converters.names.tables import Ignored, Row, table
from converters.types import Shapes
from tfseg import specs

_PREFIX = "encoder."
# Decoders of the public package that dilate their encoder.
DILATING = ("pan", "deeplabv3", "deeplabv3plus")
_WITHOUT_STRIDE_2 = ("linknet", "unetplusplus")  # the package refuses them on MiT


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """One encoder.

    Attributes:
        public: its name there.
        name: name of the same network in `tfseg.build`.
        rows: rows of its names.
        first: key of its first convolution.
        variables: function of the width that gives the variables which every file has.
        spec: numbers of a ResNet; None: another network.
        options: options of `tfseg.build` that make the network this one.
        taps: layers whose maps decoders read, finest first; None: those of `tfseg.last_maps`.
        dilates: whether a dilated one can be computed.
        without: decoders that are not built on it, there or here.
        ignored: `(regular expression, why)` of tensors that nothing reads.
        early: rows of the names up to stride 8, where PSPNet's features end.
        late: regular expression of the keys after that.
        convention: rate of the layer that loses its stride, a name in `tfseg.specs.CONVENTIONS`.
        assumed: what its tensors do not tell, in words for the receipt.
    """

    public: str
    name: str
    rows: tuple[Row, ...]
    first: str
    variables: Callable[[float], Shapes]
    spec: specs.ResNetSpec | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    taps: tuple[str, ...] | None = None
    dilates: bool = True
    without: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    early: tuple[Row, ...] = ()
    late: str = ""
    convention: str = "new"
    assumed: str = ""

    @property
    def decoders_without(self) -> tuple[str, ...]:
        """The decoders that are not built on it."""
        return self.without if self.dilates else (*self.without, *DILATING)


def beginning(encoder: Encoder) -> Encoder:
    """The encoder up to stride 8.

    Args:
        encoder: the whole encoder.
    """
    spec = encoder.spec and dataclasses.replace(encoder.spec, blocks=encoder.spec.blocks[:2])
    begun = functools.partial(_early_variables, encoder=encoder)
    return dataclasses.replace(encoder, rows=encoder.early, variables=begun, spec=spec)


@functools.cache
def _early_variables(width: float, *, encoder: Encoder) -> Shapes:
    names = table(encoder.early)
    return {path: shape for path, shape in encoder.variables(width).items() if names.key(path)}


def _resnet(
    public: str,
    name: str,
    *,
    prefix: str = _PREFIX,
    names: Mapping[str, str] | None = None,
    stem: str = "sequence",
    **options: Any,
) -> Encoder:
    """A ResNet.

    Args:
        public: its name there.
        name: name in `tfseg.specs.RESNETS`.
        prefix: text before every name.
        names: parts of torchvision's and timm's names -> what stands there instead.
        stem: name in `converters.families.trunks.STEMS`.
        options: fields of `tfseg.specs.ResNetSpec` in which it differs from that row.
    """
    spec = specs.RESNETS[name]
    rows = [(prefix + source, target, kind) for source, target, kind in renamed(trunk(spec, stem=stem), names or {})]
    (first, *_) = (source for source, target, _ in rows if target in ("conv1_conv", "conv1_1_conv"))
    return Encoder(
        public,
        name,
        tuple(rows),
        f"{first}.weight",
        functools.partial(variables.resnet, spec=spec),
        spec=dataclasses.replace(spec, **options),
        options=options,
        early=_numbered(rows, "s", (1, 2)),
        late=rf"{re.escape(prefix)}layer[34]\..*",
    )


def _numbered(rows: Iterable[Row], field: str, numbers: Iterable[int]) -> tuple[Row, ...]:
    """The rows with numbers in place of a field, which also stands for the number after it; others as they are."""
    done: list[Row] = []
    for source, target, kind in rows:
        for number in numbers if f"{{{field}}}" in source else (0,):
            written = target.replace(f"{{{field}+1}}", str(number + 1)).replace(f"{{{field}}}", str(number))
            done.append((source.replace(f"{{{field}}}", str(number)), written, kind))
    return tuple(done)


def _vgg(name: str) -> Encoder:
    depth, batch_norm = specs.VGGS[name]
    return Encoder(
        name,
        name,
        vgg_features(depth, batch_norm, _PREFIX),
        f"{_PREFIX}features.0.weight",
        functools.partial(variables.vgg, depth=depth, batch_norm=batch_norm),
        dilates=False,
        without=("pspnet",),
    )


_TOP_UNREAD = "the convolution at the end of an EfficientNet, which no decoder reads"


def _last(spec: specs.EfficientNetSpec, stage: int) -> str:
    """The layer at the end of a stage: a sum if the stage has several blocks."""
    count = light_trunks.efficientnet_counts(spec)[stage - 1]
    return f"block{stage}{chr(ord('a') + count - 1)}_{'add' if count > 1 else 'project_bn'}"


def _efficientnet(
    public: str, name: str, rows: tuple[Row, ...], early: tuple[Row, ...], late: str, unread: str, **options: Any
) -> Encoder:
    """An EfficientNet.

    Args:
        public: its name there.
        name: name in `tfseg.specs.EFFICIENTNETS`.
        rows: rows of its names.
        early: those up to stride 8.
        late: regular expression of its keys after that, without the prefix.
        unread: regular expression of its modules that nothing reads.
        options: options of `tfseg.build` in which it differs from that row.
    """
    spec = specs.EFFICIENTNETS[name]
    return Encoder(
        public,
        name,
        rows,
        rows[0][0] + ".weight",
        functools.partial(light_variables.efficientnet, spec=spec),
        options={"top_conv": False, **options},
        taps=("stem_activation", *(_last(spec, stage) for stage in (2, 3, 5, 7))),
        ignored=((rf"encoder\.({unread})\..*", _TOP_UNREAD),),
        early=early,
        late=rf"encoder\.{late}",
    )


def _counted(index: int) -> Encoder:
    """An encoder on efficientnet_pytorch: its padding is TensorFlow's for the images of its training."""
    name = f"tf_efficientnet_b{index}"
    rows = light_trunks.counted_efficientnet(specs.EFFICIENTNETS[name], _PREFIX)
    padding = specs.EFFICIENTNET_SIZES[index]
    counts = light_trunks.efficientnet_counts(specs.EFFICIENTNETS[name])
    early = light_trunks.counted_beginning(specs.EFFICIENTNETS[name], _PREFIX, 3)
    late = rf"_blocks\.({'|'.join(map(str, range(sum(counts[:3]), sum(counts))))})\..*"
    unread = "_conv_head|_bn1"
    encoder = _efficientnet(f"efficientnet-b{index}", name, rows, early, late, unread, padding=padding)
    if index or encoder.taps is None:
        return encoder
    # Of B0 alone, decoders read the first block of the fifth stage, and dilation begins after it.
    *fine, _, coarsest = encoder.taps
    options = {**encoder.options, "early_block": "block5b"}
    return dataclasses.replace(encoder, taps=(*fine, "block5a_project_bn", coarsest), options=options)


def _timm_efficientnet(index: int) -> Encoder:
    rows = tuple(row for row in light_trunks.timm_efficientnet(_PREFIX) if not row[1].startswith("top_"))
    # All sizes have the same epsilon here; torchvision's largest ones have TensorFlow's.
    public, name = f"timm-efficientnet-b{index}", f"efficientnet_b{index}"
    early, late = _numbered(rows, "s", (1, 2)), r"blocks\.[3-6]\..*"
    return _efficientnet(public, name, rows, early, late, "conv_head|bn2", epsilon=1e-5)


def _mobilenet_v2() -> Encoder:
    rows = light_trunks.mobilenet_v2(_PREFIX)
    return Encoder(
        "mobilenet_v2",
        "mobilenet_v2",
        rows,
        rows[0][0] + ".weight",
        light_variables.mobilenet_v2,
        taps=("block1_project_bn", "block3_add", "block6_add", "block13_add", "top_activation"),
        early=_numbered((row for row in rows if not row[1].startswith("top")), "b", range(2, 7)),
        late=r"encoder\.features\.([7-9]|1\d)\..*",
    )


def _mit(name: str) -> Encoder:
    rows = light_trunks.authors_mit(_PREFIX)
    return Encoder(
        name,
        name,
        rows,
        f"{_PREFIX}patch_embed1.proj.weight",
        functools.partial(light_variables.mit, spec=specs.MITS[name]),
        options={"joined": True},
        taps=tuple(f"stage{stage}_out" for stage in range(1, 5)),
        dilates=False,
        without=_WITHOUT_STRIDE_2,
        early=_numbered(rows, "s", (1, 2)),
        late=r"encoder\.(patch_embed|block|norm)[34]\..*",
    )


def _densenet(name: str) -> Encoder:
    rows = light_trunks.densenet(_PREFIX)
    return Encoder(
        name,
        name,
        rows,
        rows[0][0] + ".weight",
        functools.partial(light_variables.densenet, spec=specs.DENSENETS[name]),
        # Decoders read the last map before its ReLU.
        taps=("stem_relu", *(f"transition{stage}_out" for stage in (1, 2, 3)), "top_bn"),
        dilates=False,
        early=tuple(
            row
            for row in _numbered((row for row in rows if row[1] != "top_bn"), "s", (1, 2))
            if row[1] != "transition2_conv"
        ),
        late=r"encoder\.features\.(denseblock[34]|transition3|norm5|transition2\.conv)\..*",
    )


_PLAIN = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    *(f"resnext101_32x{width}d" for width in (4, 8, 16, 32, 48)),
)
ENCODERS: tuple[Encoder, ...] = (
    *(_resnet(name, name) for name in _PLAIN),
    *map(_vgg, specs.VGGS),
    _mobilenet_v2(),
    *(_counted(index) for index in range(8)),
    *(_timm_efficientnet(index) for index in range(8)),
    *map(_mit, specs.MITS),
    *map(_densenet, specs.DENSENETS),
    *(
        _resnet(re.sub("^se(?=res)", "se_", name), name, names=CADENE_NAMES, stem="numbered", **options)
        for name, options in CADENE.items()
    ),
)


# timm's ResNets that people take; its other networks are left to programs.
_TIMM = (
    *(f"resnet{depth}" for depth in (18, 26, 34, 50, 101, 152)),
    *(f"resnet{depth}d" for depth in (18, 26, 34, 50, 101, 152)),
    *("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
    *("seresnet50", "seresnet101", "seresnext50_32x4d", "seresnext101_32x4d"),
)


def _timm(name: str) -> Encoder:
    double = "timm's resnetaa and resnetblur have the tensors of its plain networks, which are built here"
    doubled = name in {plain for plain, _ in specs.RESNET_DOUBLES.values()}
    encoder = _resnet(f"tu-{name}", name, prefix="encoder.model.")
    # timm keeps the rate of the layer that lost its stride.
    return dataclasses.replace(encoder, convention="previous", assumed=double if doubled else "")


TIMM_ENCODERS: tuple[Encoder, ...] = tuple(map(_timm, _TIMM))
