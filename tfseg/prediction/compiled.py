"""Functions of a model for inference, compiled once per model where the backend compiles."""

import weakref
from collections.abc import Callable
from typing import Any

import keras

from tfseg.outputs import logits_of

_functions: weakref.WeakKeyDictionary[keras.Model, dict[str, Callable[[Any], Any]]] = weakref.WeakKeyDictionary()


def compiled_once(model: keras.Model, name: str, finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function of `compiled`, which is kept as long as the model lives.

    Args:
        model: segmentation model.
        name: name of `finish`, one for each.
        finish: function of the logits.
    """
    functions = _functions.setdefault(model, {})
    if name not in functions:
        functions[name] = compiled(model, finish)
    return functions[name]


def compiled(model: keras.Model, finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function from a preprocessed batch to `finish` of the model's logits.

    `model.predict` and a bare call take a third longer under TensorFlow, and many times as long under JAX.

    Args:
        model: segmentation model. It may be trained on: the function uses its weights of the moment.
        finish: function of the logits.
    """
    reference = weakref.ref(model)  # a strong reference would keep the model alive through its own entry in a cache
    return {"tensorflow": _of_tensorflow, "jax": _of_jax, "torch": _of_torch}.get(keras.config.backend(), _plain)(
        reference, finish
    )


def _alive(reference: "weakref.ref[keras.Model]") -> keras.Model:
    model = reference()
    assert model is not None  # the caller holds it
    return model


def _plain(reference: "weakref.ref[keras.Model]", finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return finish(logits_of(_alive(reference)(x, training=False)))

    return function


def _of_tensorflow(reference: "weakref.ref[keras.Model]", finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import tensorflow as tf

    shape = (None, *_alive(reference).input_shape[1:])
    # The concrete function: for the traces of several models, TensorFlow would warn of endless retracing.
    function = tf.function(_plain(reference, finish)).get_concrete_function(tf.TensorSpec(shape, "float32"))
    return function


def _of_jax(reference: "weakref.ref[keras.Model]", finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import jax

    @jax.jit
    def pure(trained: list[Any], fixed: list[Any], x: Any) -> Any:
        outputs, _ = _alive(reference).stateless_call(trained, fixed, x, training=False)
        return finish(logits_of(outputs))

    def function(x: Any) -> Any:
        # As arguments: JAX would compile the weights of today into the function.
        model = _alive(reference)
        parts = (model.trainable_variables, model.non_trainable_variables)
        return pure(*([variable.value for variable in part] for part in parts), x)

    return function


def _of_torch(reference: "weakref.ref[keras.Model]", finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import torch

    function = _plain(reference, finish)
    return torch.no_grad()(function)
