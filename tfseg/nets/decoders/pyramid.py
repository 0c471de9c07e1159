"""What all decoders share: the maps that they read, one to a stride, and how they end."""

import dataclasses
import itertools
from collections.abc import Sequence

import keras
from keras.layers import Identity

from tfseg import graphs, specs
from tfseg.layers import Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import logits, tap
from tfseg.surgery.last_maps import last_maps, strides_of
from tfseg.types import Tensor

ALIGNED = "bilinear_align_corners"  # how the decoders of segmentation_models.pytorch enlarge scores


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """A map of the backbone.

    Attributes:
        stride: image pixels per pixel of the map.
        map: the map `(batch, height, width, channels)`; None where the backbone has none of that stride.
    """

    stride: int
    map: Tensor | None


def levels(
    backbone: keras.Model, taps: Sequence[str] | None, decoder: str, *, finest: int = 2, count: int = 1
) -> list[Level]:
    """The backbone's maps, finest first.

    Args:
        backbone: functional classifier.
        taps: layers that make the maps, finest first, or stages of a ResNet; None: the backbone's outputs if those are
            several maps, else the last map of every stride.
        decoder: name of the decoder, for the error message.
        finest: maps of smaller strides are left out.
        count: how many maps the decoder needs at least.
    Raises:
        ValueError: a backbone that is no graph, a layer that it lacks or that makes no map, another order, or too few
            maps.
    """
    graphs.check(backbone)
    if taps is not None:
        maps = [tap(backbone, layer, f"{decoder}'s taps", f"taps={taps!r}") for layer in taps]
        sources = [Level(stride, x) for stride, x in zip(strides_of(backbone, maps), maps, strict=True)]
        if none := [layer for layer, level in zip(taps, sources, strict=True) if not level.stride]:
            raise ValueError(
                f"{decoder}'s taps are layers that make maps (batch, height, width, channels), and {none[0]} makes "
                f"none. Received: taps={taps!r}"
            )
    else:
        sources = _stated(backbone) or [Level(stride, x) for stride, x in last_maps(backbone).items()]
    if any(fine.stride > coarse.stride for fine, coarse in itertools.pairwise(sources)):
        strides = [level.stride for level in sources]
        raise ValueError(f"taps are named from the finest map to the coarsest. Received: taps={taps!r}, {strides=}")
    taken = [level for level in sources if level.stride >= finest]
    if len(taken) < count:
        raise ValueError(
            f"{decoder} needs {count} maps of stride {finest} or more, and the backbone {backbone.name!r} has strides "
            f"{[level.stride for level in sources]}: build it with a larger output stride, or name its layers with "
            f"taps. Received: taps={taps!r}"
        )
    return taken


def _stated(backbone: keras.Model) -> list[Level]:
    """The outputs of a backbone that returns several maps, for decoders; none of any other."""
    if len(backbone.outputs) == 1:
        return []
    strides = strides_of(backbone, backbone.outputs)
    # An encoder may return its image, too, and a map without channels where it has none.
    maps = [
        Level(stride, x) for stride, x in zip(strides, backbone.outputs, strict=True) if stride > 1 and x.shape[-1] != 0
    ]
    rising = all(fine.stride <= coarse.stride for fine, coarse in itertools.pairwise(maps))
    return maps if len(maps) > 1 and rising else []


def steps(sources: Sequence[Level], image: Tensor) -> list[Level]:
    """The maps to which a decoder enlarges the coarsest one, step by step; strides that the backbone lacks are empty.

    Args:
        sources: the backbone's maps, finest first.
        image: the image, which is the last step; without a map, unless the finest of them has its size.
    """
    *rest, deepest = sources
    way, stride = [], deepest.stride
    ends = [] if rest and rest[0].stride == 1 else [Level(1, None)]
    for level in [*reversed(rest), *ends]:
        while stride > 2 * level.stride:
            stride //= 2
            way.append(Level(stride, None))
        way.append(level)
        stride = level.stride
    return way


def filters_of(filters: Sequence[int] | None, count: int, decoder: str) -> tuple[int, ...]:
    """The channels of each step of a U-Net: by default 16 at the image's size, and twice as many at twice the stride.

    Args:
        filters: channels of each step, coarsest first; None: the default.
        count: number of steps.
        decoder: name of the decoder, for the error message.
    Raises:
        ValueError: another number of steps.
    """
    default = (256, 128, 64, 32, 16)
    chosen = tuple(default[-count:] if filters is None else filters)
    if len(chosen) != count:
        raise ValueError(
            f"{decoder} has {count} steps on this backbone, so filters needs {count} numbers, coarsest first. "
            f"Received: filters={filters!r}"
        )
    return chosen


def enlarged(x: Tensor, level: Level, image: Tensor, interpolation: str, name: str) -> Tensor:
    """A map at the size of the next step's map or of the image.

    Where there is no map, it has half of the image's size, rounded down, at stride 2, and is twice as large elsewhere.

    Args:
        x: map to enlarge.
        level: next step.
        image: the image, whose size stride 1 has.
        interpolation: name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the layer.
    Raises:
        ValueError: an unknown interpolation.
    """
    blocks.check_choice("interpolation", interpolation, specs.INTERPOLATIONS)
    like = image if level.stride == 1 else level.map
    if level.stride == 2 and like is None:
        like = blocks.max_pool(image, 2, f"{name}_size")  # for its size alone
    if like is None:
        return Rescale(2, interpolation, name=name)(x)
    return ResizeLike(interpolation, name=name)([x, like])


def segmenter(
    backbone: keras.Model, x: Tensor, num_classes: int, name: str, *, kernel_size: int = 1, upsampling: str | None
) -> keras.Model:
    """The model that ends with the convolution `logits`, and its scores at the image's size in float32 (`score`).

    Args:
        backbone: model whose image is the input.
        x: the decoder's map.
        num_classes: channels of the logits.
        name: name of the model.
        kernel_size: rows, and columns, of the last kernel.
        upsampling: how the scores are enlarged to the image, a name of `tfseg.specs.INTERPOLATIONS`; None: they have
            its size.
    """
    scores = logits(x, num_classes, kernel_size=kernel_size)
    image = backbone.inputs[0]
    if upsampling is None:
        return keras.Model(image, Identity(name="score", dtype="float32")(scores), name=name)
    blocks.check_choice("upsampling", upsampling, specs.INTERPOLATIONS)
    return keras.Model(image, ResizeLike(upsampling, name="score", dtype="float32")([scores, image]), name=name)
