"""Files as Keras 2 wrote them, without Keras 2: its configuration, and groups of weights with their names."""

import json

import h5py
import numpy as np


def entry(kind, name, *inputs, **options):
    """A layer of a functional model."""
    nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    config = {"name": name, "trainable": True, "dtype": "float32", **options}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}


def image(name, *shape):
    """The input of a functional model."""
    return entry("InputLayer", name, batch_input_shape=[None, *shape], sparse=False, ragged=False)


def write(path, layers, weights, *, outputs, version="2.9.0"):
    """Writes a whole functional model.

    Args:
        path: where it is written.
        layers: results of `image` and `entry`.
        weights: name of a layer -> name of a variable -> array.
        outputs: names of the layers that make the results.
        version: version of Keras.
    """
    inputs = [layer["name"] for layer in layers if layer["class_name"] == "InputLayer"]
    config = {
        "name": "model",
        "layers": layers,
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer["name"].encode() for layer in layers]
        group.attrs["keras_version"], group.attrs["backend"] = version, "tensorflow"
        for layer in layers:
            inner = group.create_group(layer["name"])
            variables = weights.get(layer["name"], {})
            inner.attrs["weight_names"] = [f"{layer['name']}/{name}:0".encode() for name in variables]
            for name, array in variables.items():
                inner.create_dataset(f"{layer['name']}/{name}:0", data=array)
    return path


def numbers(seed, **shapes):
    """Random arrays by name; those of a variance are positive."""
    random = np.random.default_rng(seed)
    return {
        name: (random.uniform(0.5, 2, shape) if "variance" in name else random.normal(0, 0.5, shape)).astype("float32")
        for name, shape in shapes.items()
    }
