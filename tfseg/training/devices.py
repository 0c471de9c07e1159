"""Devices to train on: those of TensorFlow's strategies, those of JAX's data parallelism, or one."""

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    import tensorflow as tf


def strategy() -> "tf.distribute.Strategy":
    """The `tf.distribute` strategy of this machine: several machines (TF_CONFIG), several GPUs, or one device.

    TF_CONFIG is TensorFlow's environment variable: a JSON text with the cluster's workers and the index of this one.
    Every machine runs the same command. The first one writes the run folder, which all machines must be able to read.

    Example:
        >>> from tfseg.training.devices import strategy
        >>> strategy().num_replicas_in_sync >= 1
        True
    """
    import tensorflow as tf

    if os.environ.get("TF_CONFIG"):
        return _strategy_of("MultiWorkerMirroredStrategy")
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return _strategy_of("MirroredStrategy")
    return tf.distribute.get_strategy()


@functools.cache
def _strategy_of(kind: str) -> "tf.distribute.Strategy":
    """One of a kind: the sums over the devices of a second one would meet those of the first."""
    import tensorflow as tf

    return getattr(tf.distribute, kind)()


@contextlib.contextmanager
def all_devices() -> Iterator[None]:
    """A context in which a model is built and trained on all devices of this machine, under any backend.

    TensorFlow: those of `strategy`. JAX: data parallelism on all devices, if there are several. PyTorch: one device.

    Raises:
        ValueError: TF_CONFIG under another backend than TensorFlow.
    Example:
        >>> from tfseg.training.devices import all_devices
        >>> with all_devices():
        ...     model = tfseg.build("fcn_resnet18", num_classes=3, width=1 / 16)
    """
    backend = keras.config.backend()
    if backend == "tensorflow":
        with strategy().scope():
            yield
        return
    if os.environ.get("TF_CONFIG"):
        raise ValueError(
            f"Several machines (TF_CONFIG) train under TensorFlow alone. Received: KERAS_BACKEND={backend}. Unset "
            "TF_CONFIG, or set KERAS_BACKEND=tensorflow."
        )
    if backend == "jax" and len(keras.distribution.list_devices()) > 1:
        with keras.distribution.DataParallel().scope():
            yield
        return
    yield


def check_distribution() -> None:
    """Refuses ways to use several devices that a training cannot follow.

    Raises:
        ValueError: another distribution than `DataParallel`, or several processes of JAX.
    """
    if keras.config.backend() != "jax":
        return
    import jax

    if jax.process_count() > 1:
        raise ValueError(
            f"A training under JAX has one process. Received: {jax.process_count()}. Several machines train under "
            "KERAS_BACKEND=tensorflow, with TF_CONFIG."
        )
    distribution = keras.distribution.distribution()
    if distribution is not None and not isinstance(distribution, keras.distribution.DataParallel):
        raise ValueError(
            "A training under JAX divides the batch, not the model: keras.distribution.DataParallel. Received: "
            f"{type(distribution).__name__}"
        )


def check_accumulation(accumulate: int, steps: int) -> None:
    """Refuses to gather gradients over more steps than there are, and where Keras cannot: on several of its devices.

    Args:
        accumulate: number of steps whose gradients are gathered.
        steps: number of steps of the whole training.
    Raises:
        ValueError: too few steps, or several devices of TensorFlow and more than one step.
    """
    if accumulate > steps:
        raise ValueError(
            f"The weights change every {accumulate} steps (accumulate), and the training has {steps}: they would never "
            "change. Train more epochs, or gather the gradients of fewer steps."
        )
    if accumulate > 1 and keras.config.backend() == "tensorflow" and (count := device_count()) > 1:
        raise ValueError(
            f"Under TensorFlow, gradients are gathered over steps on one device. Received: accumulate={accumulate} on "
            f"{count} devices. They share a batch: raise batch_size instead of accumulate. Or set KERAS_BACKEND=jax "
            "or CUDA_VISIBLE_DEVICES=0."
        )


def device_count() -> int:
    """The number of devices that share a batch."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        return int(_strategy_in_use().num_replicas_in_sync)
    distribution = keras.distribution.distribution() if backend == "jax" else None
    return 1 if distribution is None else int(distribution.device_mesh.devices.size)


def is_chief() -> bool:
    """Whether this process writes the run folder: the first of several processes, or the only one."""
    resolver = _resolver_in_use()
    if resolver is None or not resolver.task_type:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return bool((resolver.task_type, resolver.task_id) == (chief, 0))


def has_several_processes() -> bool:
    """Whether several processes train together, so that none can save on its own."""
    return bool(_resolver_in_use())


def agreed(row: Mapping[str, float]) -> dict[str, float]:
    """The means of numbers over all processes: what they decide must not depend on the rounding of each processor.

    Args:
        row: numbers by name, the same names in every process.
    """
    if not row or not has_several_processes():
        return dict(row)
    import tensorflow as tf

    strategy = _strategy_in_use()
    numbers = strategy.run(tf.function(lambda: tf.constant(list(row.values()), "float64")))
    means = strategy.reduce(tf.distribute.ReduceOp.MEAN, numbers, axis=None)
    return dict(zip(row, means.numpy().tolist(), strict=True))


def _resolver_in_use() -> Any:
    """What knows the processes of a TensorFlow strategy; None if this one is alone."""
    return getattr(_strategy_in_use(), "cluster_resolver", None) if keras.config.backend() == "tensorflow" else None


def _strategy_in_use() -> "tf.distribute.Strategy":
    import tensorflow as tf

    return tf.distribute.get_strategy()
