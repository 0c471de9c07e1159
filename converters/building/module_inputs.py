"""What a live torch module must be, and the example image that a caller gives."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from converters.errors import ConversionError

_IMAGE_RANK = 4


class ImageShape(NamedTuple):
    """The shape of an example.

    Attributes:
        channels: channels of the image.
        size: its height and width.
    """

    channels: int
    size: tuple[int, int]


def image_shape(module: Any, example: Any) -> ImageShape:
    """The shape of an example image.

    Args:
        module: live torch module that takes it.
        example: what the caller gave.
    Raises:
        ConversionError: several tensors, or something else than an image; or the module does not run on it.
    """
    name = type(module).__name__
    if isinstance(example, list | tuple) and len(example) == 1:
        (example,) = example
    if isinstance(example, dict | list | tuple):
        raise ConversionError(
            f"{name} takes {len(example)} inputs, and a model of one image is built. Expected: example= as one tensor "
            "(batch, channels, height, width). Put a module around it that takes one image, for example one that "
            "joins the inputs along the channels, and splits them again. "
            f"Received: {type(example).__name__} of {len(example)}"
        )
    shape = tuple(getattr(example, "shape", ()))
    if len(shape) != _IMAGE_RANK:
        raise ConversionError(
            "example must be one image, a tensor (batch, channels, height, width). Received: "
            + (f"a tensor of the shape {shape}" if shape else type(example).__name__)
        )
    return ImageShape(int(shape[1]), (int(shape[2]), int(shape[3])))


def require_traceable(module: Any) -> None:
    """Refuses a module that torch.export cannot read, or whose tensors no model has.

    Args:
        module: live torch module.
    Raises:
        ConversionError: TorchScript; complex, sparse or missing numbers.
    """
    import torch

    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise ConversionError(
            f"The torch module {name} is TorchScript, which torch.export cannot trace. Build the network with its own "
            "class, load the weights, network.load_state_dict(script.state_dict()), and convert that one."
        )
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for key, value in tensors:
        if value.is_meta:
            what, advice = "on the device meta, which has no numbers", "Load its weights first"
        elif value.is_complex():
            what, advice = f"complex ({value.dtype})", "Keep the real and the imaginary part as two tensors"
        elif value.layout != torch.strided:
            what, advice = f"sparse ({value.layout})", "Make it a dense one: to_dense()"
        else:
            continue
        raise ConversionError(
            f"The torch module {name} has a tensor that no Keras model can have: {key} is {what}. {advice}."
        )


def results_kept(part: Any) -> Iterator[Any]:
    """Tensors that a module computed and kept: attributes that depend on its parameters.

    Args:
        part: torch module; its parts are not looked into.
    """
    for value in vars(part).values():
        if hasattr(value, "grad_fn") and value.grad_fn is not None:
            yield value
