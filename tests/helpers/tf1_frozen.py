"""DeepLab's networks as frozen graphs: between the preparation of an image of bytes and the choice of its classes."""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def in_graph(net, draw):
    """Lets a network draw its variables as constants, each read through an Identity, as freezing leaves them."""
    nodes = {}

    def variable(name, *shape, **scale):
        if name not in nodes:
            nodes[name] = tf.identity(tf.constant(draw(name, *shape, **scale), name=name), f"{name}/read")
        return nodes[name]

    net.variable = variable


def freeze(net, path, *, crop=(129, 129), rescaled=(1.0,)):
    """Writes a graph that takes one image `ImageTensor` of bytes and gives `SemanticPredictions`; returns its path.

    crop: the size to which the graph pads an image with gray. rescaled: sizes at which the network sees the image.
    """
    original = net.variable
    with tf.Graph().as_default() as graph:
        in_graph(net, original)
        image = v1.placeholder(tf.uint8, (1, None, None, 3), name="ImageTensor")
        sides = tf.shape(image)[1:3]
        gray = tf.constant([127.5, 127.5, 127.5], name="gray")
        x = tf.cast(tf.squeeze(image, [0]), tf.float32) - gray
        x = tf.pad(x, [[0, crop[0] - sides[0]], [0, crop[1] - sides[1]], [0, 0]]) + gray
        x.set_shape((*crop, 3))
        x = (2 / 255) * tf.expand_dims(x, 0) - 1.0
        net.pools_by_size = rescaled == (1.0,)
        seen = [
            v1.image.resize_bilinear(x, [int(side * scale) for side in crop]) if scale != 1 else x for scale in rescaled
        ]
        scores = [v1.image.resize_bilinear(net(part)[0], crop, align_corners=True) for part in seen]
        classes = tf.argmax(tf.add_n(scores) if len(scores) > 1 else scores[0], 3)
        tf.slice(classes, [0, 0, 0], [1, sides[0], sides[1]], name="SemanticPredictions")
    del net.variable
    net.pools_by_size = False
    with open(path, "wb") as file:
        file.write(graph.as_graph_def().SerializeToString())
    return os.fspath(path)


def meta_graph(net, path, *, side=65):
    """Writes the MetaGraph of a training, which also saves, draws and differentiates the variables.

    side: height and width of the images.
    """
    original, variables = net.variable, {}

    def variable(name, *shape, **scale):
        if name not in variables:
            variables[name] = v1.Variable(original(name, *shape, **scale), name=name, use_resource=False)
        return variables[name]

    with tf.Graph().as_default():
        net.variable = variable
        image = v1.placeholder(tf.float32, (1, side, side, 3), name="image")
        loss = tf.reduce_mean(net(image)[0]) + tf.add_n([tf.nn.l2_loss(part) for part in variables.values()])
        v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
        for name, part in variables.items():
            v1.summary.histogram(name, part)
        v1.train.Saver()
        v1.train.export_meta_graph(filename=os.fspath(path))
    del net.variable


def classes_of(path, image):
    """What TensorFlow says of the classes of an image of bytes `(height, width, 3)`."""
    graph = v1.GraphDef()
    with open(path, "rb") as file:
        graph.ParseFromString(file.read())
    with tf.Graph().as_default(), v1.Session() as running:
        v1.import_graph_def(graph, name="")
        return running.run("SemanticPredictions:0", {"ImageTensor:0": np.asarray(image)[None]})[0]
