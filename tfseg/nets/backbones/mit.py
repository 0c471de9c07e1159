"""Mix Transformer, the backbone of SegFormer: a table of stages and a loop."""

import dataclasses

import keras
from keras.layers import Activation, Add, Dropout, LayerNormalization

from tfseg import specs
from tfseg.layers import GlobalAveragePooling, LastMap, MapAttention, MapProjections
from tfseg.nets import blocks
from tfseg.nets.backbones.named import named_spec
from tfseg.types import Tensor


def MiT(
    spec: str | specs.MiTSpec = "b0",
    *,
    joined: bool = False,
    joined_query: bool = False,
    epsilon: float | None = None,
    width: float = 1.0,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """MiT-B0 to B5: SegFormer's transformer without positions, which makes maps of strides 4, 8, 16 and 32.

    Input `(batch, height, width, channels)` float32, preprocessed, any size of at least 32 pixels. Output without the
    top: the last map, `(batch, ceil(height / 32), ceil(width / 32), 256)` (512 for B1 to B5). Output with the top:
    logits `(batch, num_classes)`. The maps of the stages are the outputs of `stage1_out` to `stage4_out`.

    `tfseg.dilate` gives other output strides: queries are then dense, and keys and values stay those of the old grid.

    Args:
        spec: "b0" to "b5", or a `tfseg.specs.MiTSpec`.
        joined: whether one layer `<block>_attention_key_value` makes keys and values, as in the authors' code; if not,
            each have their own.
        joined_query: whether one layer `<block>_attention_projections` makes queries, keys and values, as in
            mmsegmentation.
        epsilon: epsilon of every normalization; None: those of the spec. transformers has 1e-5, mmsegmentation 1e-6.
        width: factor of every channel count, which stays a multiple of the stage's heads.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec, such as "mit_b0".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, or a width that is not positive.
    Reference: Xie et al. 2021, https://arxiv.org/abs/2105.15203, section 3.1; code:
        https://github.com/NVlabs/SegFormer, mix_transformer.py.

    Example:
        >>> model = tfseg.MiT("b0", width=1 / 4)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 3, 3, 64)
        >>> tuple(model.get_layer("stage1_out").output.shape)
        (None, None, None, 8)
    """
    title, spec = named_spec("A MiT", spec, specs.MITS, "mit_")
    blocks.check_width(width)
    if epsilon is not None:
        spec = dataclasses.replace(spec, epsilon=epsilon, inner_epsilon=epsilon)
    image, x = blocks.image_input(channels, "torch")
    numbers = zip(specs.MIT_PATCHES, spec.filters, spec.blocks, spec.heads, spec.reductions, strict=True)
    form = "all" if joined_query else "two" if joined else "none"  # which projections are one layer
    done = 0
    for stage, ((kernel_size, strides), filters, count, heads, reduction) in enumerate(numbers, 1):
        filters = specs.scaled(filters / heads, width) * heads
        x = blocks.conv(x, filters, kernel_size, f"stage{stage}_patch_conv", strides=strides, use_bias=True)
        x = _norm(x, f"stage{stage}_patch_norm", spec.inner_epsilon)
        for block in range(1, count + 1):
            dropped = spec.dropped * done / max(1, sum(spec.blocks) - 1)
            x = _block(x, f"stage{stage}_block{block}", spec, heads, reduction, form, dropped)
            done += 1
        x = _norm(x, f"stage{stage}_norm", spec.epsilon)
        x = LastMap(name=f"stage{stage}_out")(x)
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _block(x: Tensor, name: str, spec: specs.MiTSpec, heads: int, reduction: int, form: str, dropped: float) -> Tensor:
    """Attention, then two fully connected layers with a depthwise convolution between them."""
    y = _attention(_norm(x, f"{name}_1_norm", spec.epsilon), f"{name}_attention", spec, heads, reduction, form)
    x = Add(name=f"{name}_1_add")([x, _drop(y, f"{name}_1_drop", dropped)])
    y = blocks.dense(_norm(x, f"{name}_2_norm", spec.epsilon), spec.expansion * x.shape[-1], f"{name}_mlp_1")
    y = blocks.depthwise(y, 3, f"{name}_mlp_dwconv", use_bias=True)
    y = Activation("gelu", name=f"{name}_mlp_activation")(y)
    y = blocks.dense(y, x.shape[-1], f"{name}_mlp_2")
    return Add(name=f"{name}_2_add")([x, _drop(y, f"{name}_2_drop", dropped)])


def _attention(x: Tensor, name: str, spec: specs.MiTSpec, heads: int, reduction: int, form: str) -> Tensor:
    filters, source = x.shape[-1], x
    if reduction > 1:
        source = blocks.conv(x, filters, reduction, f"{name}_reduce_conv", strides=reduction, use_bias=True, padding=0)
        source = _norm(source, f"{name}_reduce_norm", spec.inner_epsilon)
    if form == "all":
        maps = blocks.apply(MapProjections("he_normal", name=f"{name}_projections"), [x, source])
    else:
        maps = [blocks.dense(x, filters, f"{name}_query")]
        parts = (("key_value", 2),) if form == "two" else (("key", 1), ("value", 1))
        maps += [blocks.dense(source, times * filters, f"{name}_{part}") for part, times in parts]
    return blocks.dense(MapAttention(heads, name=name)(maps), filters, f"{name}_out")


def _drop(x: Tensor, name: str, rate: float) -> Tensor:
    """Stochastic depth: in training, some images go without the block."""
    return Dropout(rate, noise_shape=(None, 1, 1, 1), name=name)(x) if rate else x


def _norm(x: Tensor, name: str, epsilon: float) -> Tensor:
    return LayerNormalization(epsilon=epsilon, name=name)(x)
