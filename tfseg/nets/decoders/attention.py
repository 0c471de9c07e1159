"""Gates: maps that say how much every channel, or every pixel, of another map counts."""

from keras.layers import Activation, Add, Multiply

from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.types import Tensor

ATTENTIONS = (None, "scse")


def channel_gate(x: Tensor, filters: int, name: str) -> Tensor:
    """Squeeze-and-excite: from the average over the map, a number between 0 and 1 for each channel.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: channels between the two convolutions.
        name: beginning of the layers' names.
    """
    y = GlobalAveragePooling(keepdims=True, name=f"{name}_pool")(x)
    y = blocks.relu(blocks.conv(y, filters, 1, f"{name}_1", use_bias=True), f"{name}_relu")
    y = blocks.conv(y, x.shape[-1], 1, f"{name}_2", use_bias=True)
    return Activation("sigmoid", name=f"{name}_sigmoid")(y)


def attended(x: Tensor, attention: str | None, name: str) -> Tensor:
    """A map after spatial and channel squeeze-and-excite ("scse"), or as it is (None).

    Args:
        x: map `(batch, height, width, channels)`.
        attention: one of `ATTENTIONS`.
        name: beginning of the layers' names.
    Raises:
        ValueError: another attention.
    Reference: Roy et al. 2018, https://arxiv.org/abs/1803.02579, section 2.3.
    """
    blocks.check_choice("attention", attention, ATTENTIONS)
    if attention is None:
        return x
    channels = channel_gate(x, max(1, x.shape[-1] // 16), f"{name}_cse")
    pixels = blocks.conv(x, 1, 1, f"{name}_sse", use_bias=True)
    pixels = Activation("sigmoid", name=f"{name}_sse_sigmoid")(pixels)
    gated = [Multiply(name=f"{name}_{part}")([x, gate]) for part, gate in (("channels", channels), ("pixels", pixels))]
    return Add(name=f"{name}_add")(gated)
