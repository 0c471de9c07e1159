"""An engine of one model: the network rewritten, converted, compared, and kept as long as the model lives."""

import functools
import hashlib
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from tfseg import graphs
from tfseg.engines.job import EngineError, EngineJob, Run
from tfseg.engines.machine import threads
from tfseg.engines.parity import CheckedRun, check, compared_sizes, first_line, noise
from tfseg.engines.table import ENGINES
from tfseg.outputs import logits_of
from tfseg.prediction.compiled import compiled_once
from tfseg.rewrites.optimize import NEEDS_FIXED_SIZE, optimize
from tfseg.types import Array, Size
from tfseg.variable_views import view


class EngineKey(NamedTuple):
    """What a model has one engine for.

    Attributes:
        name: name of the engine.
        dtype: "float32" or "bfloat16".
        size: height and width of all images; None for any size.
    """

    name: str
    dtype: str
    size: Size | None


class BuiltEngine:
    """A converted network that was compared with its model; it has the weights of the moment when it was built.

    Args:
        model: segmentation model.
        key: engine, precision and size.
        shape: shape of the batch at hand.
        mark: hash of the model's weights.
    Attributes:
        mark: hash of the weights that it has.
        seconds: how long it took to build.
    Raises:
        EngineError: the engine does not run the model, or its logits differ.
    """

    def __init__(self, model: keras.Model, key: EngineKey, shape: tuple[int, ...], mark: str) -> None:
        begin = time.perf_counter()
        self.mark = mark
        self._run = CheckedRun(_loaded(model, key, shape), key.dtype, shape, model.input_shape[0] or 1)
        self.seconds = time.perf_counter() - begin

    def run(self, model: keras.Model, batch: Array) -> Array:
        """The logits of a batch. At the first size of a class, they are compared with the model's on noise.

        Args:
            model: the model that it was built of.
            batch: preprocessed images.
        Raises:
            EngineError: the engine fails, or its logits differ at this size.
        """
        return self._run(batch, as_it_is(model), functools.partial(noise, model))


_built: weakref.WeakKeyDictionary[keras.Model, dict[EngineKey, BuiltEngine]] = weakref.WeakKeyDictionary()


def build_engine(model: keras.Model, key: EngineKey, shape: tuple[int, ...], mark: str) -> BuiltEngine:
    """The engine of a model, built once for its weights of now.

    Args:
        model: segmentation model.
        key: engine, precision and size.
        shape: shape of the batch at hand, for the comparison.
        mark: hash of its weights, of `weights_mark`.
    Raises:
        EngineError: the engine does not run the model, or its logits differ.
    """
    engines = _built.setdefault(model, {})
    existing = engines.get(key)
    if existing is None or existing.mark != mark:
        engines.pop(key, None)  # its memory is free before the next one needs some
        engines[key] = BuiltEngine(model, key, shape, mark)
    return engines[key]


def forget_engine(model: keras.Model, key: EngineKey) -> None:
    """Frees the memory of an engine.

    Args:
        model: segmentation model.
        key: engine, precision and size.
    """
    _built.get(model, {}).pop(key, None)


def as_it_is(model: keras.Model) -> Run:
    """The model itself in the backend of Keras, with its weights of the moment.

    Args:
        model: segmentation model.
    """
    function: Callable[[Array], object] = compiled_once(model, "logits", lambda logits: logits)
    return lambda batch: keras.ops.convert_to_numpy(function(batch))


def weights_mark(model: keras.Model) -> str:
    """The hash of all weights: an engine that has other ones is built again.

    Args:
        model: any Keras model.
    """
    digest = hashlib.sha1(usedforsecurity=False)  # processors have instructions for it
    for variable in model.weights:
        digest.update(np.ascontiguousarray(view(variable)).reshape(-1).view("uint8").data)
    return digest.hexdigest()


def _loaded(model: keras.Model, key: EngineKey, shape: tuple[int, ...]) -> Run:
    network = _rewritten(model, key)
    batch, *sides, channels = network.input_shape
    job = EngineJob(network, (batch, sides[0], sides[1], channels), threads())
    sizes = compared_sizes(model, (shape[1], shape[2]), key.size is not None)
    reference = as_it_is(model)
    try:
        at = ENGINES[key.name].load(job)
        exact = at("float32")
    except EngineError:
        raise
    except Exception as error:  # converters raise what they like, for layers that they do not know
        raise EngineError(f"its converter does not take the model: {first_line(error)}") from error
    for number, size in enumerate(sizes):
        images = noise(model, (batch or 1, *size, channels))
        if number and not _takes(reference, images):  # a network may be too deep for small images
            continue
        check(exact, reference, images, "float32")
    if key.dtype == "float32":
        return exact
    try:
        rounded = at(key.dtype)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"it does not compile the model in {key.dtype}: {first_line(error)}") from error
    check(rounded, reference, noise(model, (batch or 1, *sizes[0], channels)), key.dtype)
    return rounded


def _rewritten(model: keras.Model, key: EngineKey) -> keras.Model:
    """The network whose only output are the logits, with the rewrites that the engine gets."""
    if keras.config.backend() != "tensorflow":
        raise EngineError(f"models are converted under KERAS_BACKEND=tensorflow, not {keras.config.backend()}")
    others = sorted(_dtypes(model) - {"float32"})
    if others:
        raise EngineError(f"the model itself computes in {', '.join(others)}")
    try:
        graphs.check(model)
        logits = logits_of(model.output)
        network = keras.Model(model.inputs, logits, name=model.name)
        names = ENGINES[key.name].rewrites[key.dtype]
        names = tuple(name for name in names if key.size is not None or name != NEEDS_FIXED_SIZE)
        return optimize(network, fixed_size=key.size, rewrites=names)
    except Exception as error:  # of a user's own layer, too
        raise EngineError(f"its network cannot be rewritten: {first_line(error)}") from error


def _dtypes(model: keras.Model) -> set[str]:
    """The dtypes of floats in which the layers compute, those of models inside the model included."""
    dtypes: set[str] = set()
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            dtypes |= _dtypes(layer)
        elif "float" in str(layer.compute_dtype):
            dtypes.add(str(layer.compute_dtype))
    return dtypes


def _takes(reference: Run, images: Array) -> bool:
    try:
        reference(images)
    except Exception:  # of any runtime, on maps that do not fit
        return False
    return True
