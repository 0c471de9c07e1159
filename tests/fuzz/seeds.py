"""Small honest files of every format, each written by its own tool: what the mutations begin with."""

import json
import pathlib
import pickle

import numpy as np

CONV = {
    "features.0.weight": (8, 3, 3, 3),
    "features.0.bias": (8,),
    "features.3.weight": (16, 8, 3, 3),
    "features.3.bias": (16,),
    "classifier.weight": (5, 16),
    "classifier.bias": (5,),
}


def arrays():
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype("float32") for key, shape in CONV.items()}


def module():
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 5, 1)]
    return nn.Sequential(*layers).eval()


def torch_state():
    import torch

    state = {key: torch.from_numpy(value) for key, value in arrays().items()}
    return {"epoch": 3, "arch": "vgg11", "state_dict": state, "args": {"lr": 0.1, "milestones": [30, 60]}}


def pth_zip(folder):
    import torch

    torch.save(torch_state(), folder / "x.pth")
    return folder / "x.pth"


def pth_module(folder):
    import torch

    torch.save(module(), folder / "x.pth")
    return folder / "x.pth"


def pth_legacy(folder):
    import torch

    torch.save(torch_state(), folder / "x.pth", _use_new_zipfile_serialization=False)
    return folder / "x.pth"


def plain_pickle(folder):
    content = {"model": arrays(), "epoch": 7, "names": {"a", "b"}, "sizes": (1, 2.5, None, frozenset([1]))}
    (folder / "x.pkl").write_bytes(pickle.dumps(content, 4))
    return folder / "x.pkl"


def old_pickle(folder):
    (folder / "x.pkl").write_bytes(pickle.dumps({"model": arrays(), "epoch": 7, "size": [1.5, 2**70, "a\n"]}, 0))
    return folder / "x.pkl"


def safetensors(folder):
    from safetensors.numpy import save_file

    save_file(arrays(), folder / "x.safetensors", {"arch": "vgg11"})
    return folder / "x.safetensors"


def family(folder):
    """A network that is known: identified and built from its table."""
    from helpers.references import randomize
    from safetensors.numpy import save_file

    import tfseg
    from converters.weights.foreign_weights import foreign_weights

    model = tfseg.build("resnet18", include_top=True, num_classes=3, width=1 / 16)
    randomize(model)
    weights = {key: np.array(value) for key, value in foreign_weights(model, "torchvision/resnet").items()}
    save_file(weights, folder / "x.safetensors")
    return folder / "x.safetensors"


def npz(folder):
    np.savez(folder / "x.npz", **{key: value[..., ::1] for key, value in arrays().items()}, step=np.int64(3))
    return folder / "x.npz"


def kaffe(folder):
    layers = {
        "conv1": {"weights": np.ones((3, 3, 3, 4), "f4"), "biases": np.ones(4, "f4")},
        "fc": [np.ones((4, 2), "f4")],
    }
    np.save(folder / "x.npy", np.array(layers, dtype=object), allow_pickle=True)
    return folder / "x.npy"


def onnx(folder):
    import torch

    torch.onnx.export(module(), torch.zeros(1, 3, 16, 16), folder / "x.onnx", dynamo=False)
    return folder / "x.onnx"


def onnx_operators(folder):
    """More operators, attributes of every kind, and a function's worth of shapes."""
    from helpers.onnx_graphs import write

    weight = np.ones((3, 3, 3, 3), "float32")
    nodes = [
        ("Conv", "x w", "a", {"pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}),
        ("Relu", "a", "b", {}),
        ("Add", "a b", "c", {}),
        ("AveragePool", "c", "d", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Resize", "d  s", "e", {"mode": "nearest"}),
        ("Concat", "e e", "f", {"axis": 1}),
        ("ReduceMean", "f", "g", {"axes": [2, 3], "keepdims": 1}),
        ("Flatten", "g", "h", {"axis": 1}),
        ("Gemm", "h m v", "i", {"transB": 1}),
        ("Softmax", "i", "y", {"axis": -1}),
    ]
    tensors = {"w": weight, "s": np.array([1, 1, 2, 2], "f4"), "m": np.ones((5, 6), "f4"), "v": np.ones(5, "f4")}
    return write(folder / "x.onnx", nodes, tensors)


def onnx_external(folder):
    import onnx as package

    model = package.load(onnx(folder))
    package.save(model, folder / "x.onnx", save_as_external_data=True, location="x.data", size_threshold=0)
    return folder / "x.onnx"


PROTOTXT = """name: "net"
input: "data" input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 1 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "bn" type: "BatchNorm" bottom: "pool1" top: "bn" batch_norm_param { use_global_stats: true eps: 1e-5 } }
layer { name: "cat" type: "Concat" bottom: "pool1" bottom: "bn" top: "cat" concat_param { axis: 1 } }
layer { name: "score" type: "Convolution" bottom: "cat" top: "score" convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" top: "loss" include { phase: TRAIN } }
"""


def caffemodel(folder):
    from helpers.caffe_files import network, write

    rng = np.random.default_rng(0)
    layers = [
        ("conv1", "Convolution", [rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)]),
        ("bn", "BatchNorm", [rng.normal(size=4), rng.uniform(1, 2, 4), np.ones(1)]),
        ("score", "Convolution", [rng.normal(size=(2, 8, 1, 1)), rng.normal(size=2)]),
    ]
    net = network(layers)
    for layer, below in zip(net.layer, ("data", "conv1", "bn"), strict=True):
        layer.bottom[0] = below
        layer.top.append(layer.name)
    (folder / "x.prototxt").write_text(PROTOTXT)
    return write(folder / "x.caffemodel", net)


def prototxt(folder):
    caffemodel(folder)
    return folder / "x.prototxt"


def caffemodel_h5(folder):
    import h5py

    with h5py.File(folder / "x.caffemodel.h5", "w") as file:
        file["data/conv1/0"] = np.ones((4, 3, 3, 3), "f4")
        file["data/conv1/1"] = np.ones(4, "f4")
    return folder / "x.caffemodel.h5"


def keras_model():
    import keras

    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="c1")(image)
    x = keras.layers.BatchNormalization(name="b1")(x)
    x = keras.layers.ReLU(name="r1")(x)
    x = keras.layers.Concatenate(name="k1")([x, x])
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="c2")(x))


def keras_zip(folder):
    keras_model().save(folder / "x.keras")
    return folder / "x.keras"


def keras_h5(folder):
    import logging

    logging.disable(logging.WARNING)
    keras_model().save(folder / "x.h5")
    logging.disable(logging.NOTSET)
    return folder / "x.h5"


def weights_h5(folder):
    keras_model().save_weights(folder / "x.weights.h5")
    return folder / "x.weights.h5"


def tf_v2(folder):
    from helpers.tf1_nets import save

    save(folder / "x.ckpt", {key.replace(".", "/"): value for key, value in arrays().items()})
    return folder / "x.ckpt.index"


def tf_v1(folder):
    from helpers.tf1_nets import save

    return save(folder / "x.ckpt", {key.replace(".", "/"): value for key, value in arrays().items()}, version=1)


CONFIG = {
    "architectures": ["SegformerForSemanticSegmentation"],
    "model_type": "segformer",
    "num_labels": 5,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "id2label": {"0": "road", "1": "sky"},
    "architecture": "resnet18",
    "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "input_size": [3, 224, 224], "num_classes": 5},
}


def hub(folder):
    safetensors(folder).rename(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "do_resize": True}))
    return folder


def sharded(folder):
    from safetensors.numpy import save_file

    items = list(arrays().items())
    weights = {}
    for index in range(2):
        name = f"model-0000{index + 1}-of-00002.safetensors"
        save_file(dict(items[index::2]), folder / name)
        weights |= dict.fromkeys(dict(items[index::2]), name)
    index = {"metadata": {"total_size": 4000}, "weight_map": weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


def exported(folder):
    import torch

    torch.export.save(torch.export.export(module(), (torch.zeros(1, 3, 16, 16),)), folder / "x.pt2")
    return folder / "x.pt2"


def frozen_graph(folder):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder("float32", (None, None, None, 3), name="x")
        y = tf.nn.relu(tf.nn.conv2d(x, tf.constant(np.ones((3, 3, 3, 4), "f4")), 1, "SAME"))
        tf.nn.max_pool2d(y, 2, 2, "SAME", name="y")
    (folder / "x.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return folder / "x.pb"


SEEDS = {
    function.__name__: function
    for function in (
        *(pth_zip, pth_module, pth_legacy, plain_pickle, old_pickle, safetensors, npz, kaffe, onnx, onnx_operators),
        *(
            onnx_external,
            caffemodel,
            prototxt,
            caffemodel_h5,
            keras_zip,
            keras_h5,
            weights_h5,
            tf_v2,
            tf_v1,
            hub,
            sharded,
        ),
        *(exported, frozen_graph, family),
    )
}
"""Name of a format -> function of a folder that writes its files and returns the path to read."""


def write_seeds(root, names=tuple(SEEDS)):
    """Writes a folder for each format; `path.txt` in it says what is read."""
    for name in names:
        folder = pathlib.Path(root) / name
        if not (folder / "path.txt").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            path = pathlib.Path(SEEDS[name](folder))
            (folder / "path.txt").write_text("." if path == folder else path.name)
