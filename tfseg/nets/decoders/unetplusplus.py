"""U-Net++: a U-Net from every stride, each reading those before it."""

from collections.abc import Sequence

import keras

from tfseg.nets.decoders.pyramid import Level, filters_of, levels, segmenter, steps
from tfseg.nets.decoders.unet import block
from tfseg.types import Tensor


def UnetPlusPlus(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: Sequence[int] | None = None,
    taps: Sequence[str] | None = None,
    attention: str | None = None,
    interpolation: str = "nearest",
    name: str | None = None,
) -> keras.Model:
    """U-Net++ as segmentation_models.pytorch builds it: nested steps `decoder_x_<from>_<to>` with dense connections.

    Input and output are those of `Unet`. Node (i, j) begins at the i-th map from the coarsest and ends at the
    (j + 1)-th. It reads all nodes that end there and began finer. Nodes (0, j) have `filters`, all
    others the channels of the map where they end.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of each step from the coarsest map, see `Unet`.
        taps: layers whose maps are read, finest first; None: the last map of every stride.
        attention: "scse" gates the input and the output of every node; None: no gates.
        interpolation: how maps are enlarged, a name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the model; None: "unetplusplus_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: the reasons of `Unet`, or a backbone that lacks a stride between two that it has.
    Reference: Zhou et al. 2018, https://arxiv.org/abs/1807.10165, section 3.1; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/unetplusplus.

    Example:
        >>> model = tfseg.UnetPlusPlus(tfseg.ResNet(18, width=1 / 16), num_classes=5, filters=(32, 16, 8, 8, 4))
        >>> tuple(model(np.zeros((1, 64, 96, 3))).shape)
        (1, 64, 96, 5)
    """
    sources = levels(backbone, taps, "UnetPlusPlus")
    image = backbone.inputs[0]
    way = steps(sources, image)
    _check_no_gap(way[: len(sources) - 1], backbone)
    channels = filters_of(filters, len(way), "UnetPlusPlus")
    *inner, last = range(len(way))
    nodes: dict[tuple[int, int], Tensor] = {}

    def node(begin: int, end: int) -> None:
        level = way[end]
        before = nodes[begin, end - 1] if end > begin else ([sources[-1], *way][begin].map)
        nodes[begin, end] = block(
            before,
            level,
            image,
            channels[end] if begin == 0 or level.map is None else level.map.shape[-1],
            f"decoder_x_{begin}_{end}",
            attention=attention,
            interpolation=interpolation,
            beside=[nodes[other, end] for other in range(begin + 1, end + 1) if (other, end) in nodes],
        )

    for length in range(len(inner)):
        for begin in range(len(inner) - length):
            # A stride without a map has no nodes but that on the way from the coarsest map.
            if begin == 0 or way[begin + length].map is not None:
                node(begin, begin + length)
    node(0, last)
    return segmenter(
        backbone, nodes[0, last], num_classes, name or f"unetplusplus_{backbone.name}", kernel_size=3, upsampling=None
    )


def _check_no_gap(way: Sequence[Level], backbone: keras.Model) -> None:
    missing = [level.stride for level in way if level.map is None]
    if missing:
        raise ValueError(
            f"UnetPlusPlus connects the maps of neighboring strides, and the backbone {backbone.name!r} has none of "
            f"stride {missing[0]} between those that it has: use Unet, or name its layers with taps."
        )
