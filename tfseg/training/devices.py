"""Devices to train on."""

import os
from typing import TYPE_CHECKING

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
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: "tf.distribute.Strategy") -> bool:
    """Whether this process writes the run folder: the first of several processes, or the only one.

    Args:
        strategy: the `tf.distribute` strategy in use.
    """
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return bool((resolver.task_type, resolver.task_id) == (chief, 0))


def has_several_processes(strategy: "tf.distribute.Strategy") -> bool:
    """Whether several processes train together, so that none can save on its own.

    Args:
        strategy: the `tf.distribute` strategy in use.
    """
    return bool(getattr(strategy, "cluster_resolver", None))
