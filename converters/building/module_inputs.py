"""What a live torch module must be, and which tensors it takes."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.proof.module_arguments import Arguments, argument_names, arguments, required_arguments
from converters.types import Shape

HEIGHT, WIDTH = "height", "width"

_IMAGE_RANK = 4


class InputForm(NamedTuple):
    """A tensor that a network takes.

    Attributes:
        name: name of the argument.
        sides: its axes after the batch: numbers, or `HEIGHT` and `WIDTH` where the image says them.
    """

    name: str
    sides: tuple[int | str, ...]


@dataclasses.dataclass(frozen=True)
class ModuleInputs:
    """The tensors that a network takes, at any size of its image.

    Attributes:
        forms: each of them.
        arrange: makes the arguments of a call of them.
        size: height and width of the example that tells them; None for one image of any size.
    """

    forms: tuple[InputForm, ...]
    arrange: Callable[[Sequence[Any]], Arguments]
    size: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        """The names of the model's inputs: "image", or those of the arguments."""
        return ["image"] if len(self.forms) == 1 else [form.name for form in self.forms]

    def shapes(self, batch: int, size: tuple[int, int]) -> list[Shape]:
        """The shape of each tensor.

        Args:
            batch: number of images.
            size: height and width of the image.
        """
        known = {HEIGHT: size[0], WIDTH: size[1]}
        return [
            (batch, *(known[side] if isinstance(side, str) else side for side in form.sides)) for form in self.forms
        ]

    def arguments(self, batch: int, size: tuple[int, int], make: Callable[[Shape], Any]) -> Arguments:
        """The arguments of a call on such tensors.

        Args:
            batch: number of images.
            size: height and width of the image.
            make: makes a tensor of a shape.
        """
        return self.arrange([make(shape) for shape in self.shapes(batch, size)])

    def zeros(self, module: Any, batch: int, size: tuple[int, int], device: str | None = None) -> Arguments:
        """The arguments of a call on zeros, in the type and on the device of the module's parameters.

        Args:
            module: live torch module.
            batch: number of images.
            size: height and width of the image.
            device: another device.
        """
        import torch

        parameter = next(iter(module.parameters()), torch.zeros(()))
        place = {"dtype": parameter.dtype, "device": device or parameter.device}
        return self.arguments(batch, size, lambda shape: torch.zeros(shape, **place))


def one_image(channels: int, size: tuple[int, int] | None = None) -> ModuleInputs:
    """The inputs of a network that takes one image.

    Args:
        channels: channels of the image.
        size: height and width of an example.
    """
    form = InputForm("image", (channels, HEIGHT, WIDTH))
    return ModuleInputs((form,), lambda values: Arguments(tuple(values), {}), size)


def example_inputs(module: Any, example: Any) -> ModuleInputs:
    """The inputs that an example tells: one image, or several tensors.

    An axis of another tensor depends on the image if its last two axes are as long as the image's. All others have one
    length. The image is the largest tensor of four axes.

    Args:
        module: live torch module that takes it.
        example: what the caller gave: a tensor, or a list or a dictionary of them.
    Raises:
        ConversionError: no image among them, or something else than tensors.
    """
    if isinstance(example, list | tuple) and len(example) == 1:
        (example,) = example
    if isinstance(example, Mapping):
        tensors = [example[name] for name in argument_names(module, example)]
    else:
        tensors = list(example) if isinstance(example, list | tuple) else [example]
    shapes = [tuple(int(size) for size in getattr(tensor, "shape", ())) for tensor in tensors]
    images = [shape for shape in shapes if len(shape) == _IMAGE_RANK]
    if not images or not all(shapes):
        words = ", ".join(
            f"a tensor of the shape {shape}" if shape else type(tensor).__name__
            for shape, tensor in zip(shapes, tensors, strict=True)
        )
        raise ConversionError(
            "example must be an image, a tensor (batch, channels, height, width). For a module of several inputs it is "
            f"a tuple or a dictionary of tensors, one of which is an image. Received: {words or 'nothing'}"
        )
    _require_numbers(tensors)
    height, width = max((shape[2:] for shape in images), key=lambda sides: sides[0] * sides[1])
    if not isinstance(example, list | tuple | Mapping):
        return one_image(images[0][1], (height, width))
    names = argument_names(module, example)
    forms = [InputForm(name, sides_of(shape, (height, width))) for name, shape in zip(names, shapes, strict=True)]
    if isinstance(example, Mapping):
        return ModuleInputs(
            tuple(forms), lambda values: arguments(module, dict(zip(names, values, strict=True))), (height, width)
        )
    return ModuleInputs(tuple(forms), lambda values: arguments(module, list(values)), (height, width))


def sides_of(shape: Shape, size: tuple[int, int]) -> tuple[int | str, ...]:
    """The sides of an input: its last two axes depend on the image where they are as long as the image's.

    Args:
        shape: shape of an example, with its batch.
        size: height and width of the image.
    """
    as_image = len(shape) > 2 and tuple(shape[-2:]) == tuple(size)
    return (*shape[1:-2], HEIGHT, WIDTH) if as_image else tuple(shape[1:])


def require_one_input(module: Any) -> None:
    """Refuses a module whose forward needs several arguments, of which no example is given.

    Args:
        module: live torch module.
    Raises:
        ConversionError: naming the arguments.
    """
    names = required_arguments(module)
    if len(names) > 1:
        raise ConversionError(
            f"The forward of {type(module).__name__} needs {len(names)} inputs: {', '.join(names)}. Give a tensor for "
            f"each, in this order: example=({', '.join(['tensor'] * len(names))}). One of them is an image (batch, "
            "channels, height, width). Received: no example"
        )


def _require_numbers(tensors: Sequence[Any]) -> None:
    """Refuses tensors that no Keras model takes."""
    import torch

    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and (tensor.is_complex() or tensor.layout != torch.strided):
            kind = "complex" if tensor.is_complex() else "sparse"
            raise ConversionError(
                f"example holds a {kind} tensor, and a Keras model takes dense floats. Put a module around the network "
                f"that makes it of dense floats. Received: {tensor.dtype}, {tensor.layout}"
            )


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
