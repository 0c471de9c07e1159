"""On which devices to train."""

import os


def strategy():
    """The `tf.distribute` strategy of this machine: several machines by TF_CONFIG, several GPUs, or the one device.

    TF_CONFIG is TensorFlow's own: a JSON text with the cluster's workers and which of them this is. Every machine runs
    the same command; the first writes the run's folder, which all must see.
    """
    import tensorflow as tf

    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()
