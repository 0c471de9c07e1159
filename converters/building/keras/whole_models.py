"""Whole Keras models in files: loaded in safe mode, run, and compared with the models that were rebuilt from them."""

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from converters.errors import ConversionError
from converters.types import Path
from tfseg import graphs

TOLERANCE = 1e-5
"""Largest relative difference of a rebuilt model."""

OF_HALF = 3e-2
"""The same where the file's layers compute in half precision."""

_SIDE = 64  # of images, where the file states no size


def load_whole(path: Path, library: Any = keras) -> Any:
    """The model in a file as Keras loads it, in safe mode and without optimizer and losses.

    Args:
        path: path of the file; its content decides the format, and not its suffix.
        library: `keras` or `tf_keras`.
    Raises:
        ConversionError: Keras does not load it.
    """
    with open(path, "rb") as file:
        suffix = ".keras" if file.read(2) == b"PK" else ".h5"
    try:
        with tempfile.TemporaryDirectory() as folder:
            link = pathlib.Path(folder, f"model{suffix}")  # Keras knows the format by the suffix
            link.symlink_to(pathlib.Path(path).resolve())
            return library.models.load_model(link, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises nearly anything
        raise ConversionError(
            f"Keras {library.__version__} does not load it: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:400]}"
        ) from error


def numbers(variable: Any) -> np.ndarray:
    """The numbers of a variable.

    Args:
        variable: a Keras variable.
    """
    return np.asarray(keras.ops.convert_to_numpy(variable))


def size_note(size: Sequence[int | None]) -> str:
    """The sentence for a model that takes any size, where the file's takes one.

    Args:
        size: height and width in the file.
    """
    return (
        f"the file's model takes images of {size[0]} x {size[1]} pixels; none of its layers depends on that, so that "
        "the model takes any size"
    )


def augmentation_note(names: Sequence[str]) -> str:
    """The sentence for layers that augment images. Keras 3 lets them run in training mode wherever none is stated.

    Args:
        names: their names.
    """
    return f"left out, since they change images in training alone: {', '.join(names)}"


def compare_models(
    original: Any,
    model: keras.Model,
    *,
    name: str,
    tolerance: float,
    moved: tuple[Sequence[bool], Sequence[bool]] | None = None,
    run: Callable[[list[np.ndarray]], Any] | None = None,
) -> dict[str, Any]:
    """The comparison of a model with the one in the file, on noise.

    Args:
        original: model of the file.
        model: model that was rebuilt.
        name: name of the first one.
        tolerance: largest max |difference| / max |reference| of any output.
        moved: for each input and each output, whether its channels are first in the file and last in the model.
        run: runs the model of the file on arrays; by default Keras does.
    Returns: a receipt's `parity`.
    Raises:
        ConversionError: they differ.
    """
    random = np.random.default_rng(0)
    moved_inputs, moved_outputs = moved or ([False] * len(model.inputs), [False] * len(model.outputs))
    shapes = [
        tuple(size or (2 if axis == 0 else _SIDE) for axis, size in enumerate(tensor.shape))
        for tensor in original.inputs
    ]
    images = [random.uniform(-1, 1, shape).astype("float32") for shape in shapes]
    images[0] = images[0] * 128 + 127  # pixels, which layers for preprocessing take
    worst = 0.0
    for values in (images, [image / 255 for image in images]):
        try:
            expected = keras.tree.flatten((run or _runner(original))(values))
        except Exception as error:  # TensorFlow's, on what this machine does not run
            raise ConversionError(
                f"{name} cannot be run here, so that nothing can be compared: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        given = [_last(value) if is_moved else value for value, is_moved in zip(values, moved_inputs, strict=True)]
        results = keras.tree.flatten(_runner(model)(given))
        for reference, result, is_moved in zip(expected, results, moved_outputs, strict=True):
            wanted, given_back = (
                np.asarray(keras.ops.convert_to_numpy(value), "float64") for value in (reference, result)
            )
            wanted = _last(wanted) if is_moved else wanted
            if wanted.shape != given_back.shape:
                raise ConversionError(
                    f"the model that was rebuilt gives {given_back.shape}, and the file's {wanted.shape}."
                )
            worst = max(worst, float(np.abs(wanted - given_back).max() / max(np.abs(wanted).max(), 1e-30)))
    if not worst <= tolerance:
        raise ConversionError(f"the model that was rebuilt differs by {worst:.2g} from {name}. Nothing is returned.")
    sizes = " and ".join("x".join(map(str, shape[1:])) for shape in shapes)
    return {"with": name, "images": sizes, "max relative difference": worst}


def _last(image: np.ndarray) -> np.ndarray:
    return image.transpose(0, 2, 3, 1)


def _runner(model: Any) -> Callable[[list[np.ndarray]], Any]:
    def run(images: list[np.ndarray]) -> Any:
        inputs, _ = graphs.structure(model)
        typed = [
            image.astype(keras.backend.standardize_dtype(tensor.dtype))
            for image, tensor in zip(images, model.inputs, strict=True)
        ]
        return model(keras.tree.pack_sequence_as(inputs, typed), training=False)

    return run
