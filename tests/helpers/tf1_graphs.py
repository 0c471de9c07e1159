"""Whole networks as TensorFlow 1 wrote them, in slim's manner: graphs with variables, to be frozen or saved.

They are written from the papers' descriptions, with slim's names and its operations: BatchNorm fused or as arithmetic,
atrous convolutions between SpaceToBatchND and BatchToSpaceND, sizes that the graph computes from the image.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
Builds = Callable[[Any], Any]


class Slim:
    """Layers of slim, with seeded variables far from their defaults; those of TensorFlow 1, or resources."""

    def __init__(
        self, *, fused: bool = True, epsilon: float = 0.001, activation: Any = None, resource: bool = False
    ) -> None:
        self.fused, self.epsilon, self.resource = fused, epsilon, resource
        self.activation = activation or tf.nn.relu6
        self.random = np.random.default_rng(7)

    def variable(
        self, name: str, shape: Sequence[int], low: float = -1.0, high: float = 1.0, scale: float = 1.0
    ) -> Any:
        array = (self.random.uniform(low, high, shape) * scale).astype("float32")
        initial = v1.constant_initializer(array)(shape)
        return v1.get_variable(name, initializer=initial, trainable=False, use_resource=self.resource)

    def kernel(self, name: str, shape: Sequence[int], inputs: int) -> Any:
        return self.variable(name, shape, scale=float(np.sqrt(6 / inputs)))

    def batch_norm(self, x: Any, name: str = "BatchNorm") -> Any:
        channels = x.shape[-1]
        with v1.variable_scope(name):
            gamma = self.variable("gamma", [channels], 0.5, 1.5)
            beta = self.variable("beta", [channels], -0.5, 0.5)
            mean = self.variable("moving_mean", [channels], -0.5, 0.5)
            variance = self.variable("moving_variance", [channels], 0.5, 1.5)
            if self.fused:
                return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon=self.epsilon, is_training=False)[
                    0
                ]
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon)

    def conv(
        self,
        x: Any,
        filters: int,
        size: int,
        name: str,
        *,
        stride: int = 1,
        rate: int = 1,
        norm: bool = True,
        act: bool = True,
        padding: str = "SAME",
    ) -> Any:
        with v1.variable_scope(name):
            inputs = x.shape[-1]
            kernel = self.kernel("weights", [size, size, inputs, filters], inputs * size * size)
            x = self._strided(lambda y, how: tf.nn.conv2d(y, kernel, stride, how), x, size, rate, padding)
            x = self.batch_norm(x) if norm else tf.nn.bias_add(x, self.variable("biases", [filters]))
            return self.activation(x) if act else x

    def depthwise(self, x: Any, name: str, *, stride: int = 1, rate: int = 1, size: int = 3, act: bool = True) -> Any:
        with v1.variable_scope(name):
            kernel = self.kernel("depthwise_weights", [size, size, x.shape[-1], 1], size * size)
            strides = [1, stride, stride, 1]
            x = self._strided(
                lambda y, how: v1.nn.depthwise_conv2d_native(y, kernel, strides, how, name="depthwise"),
                x,
                size,
                rate,
                "SAME",
            )
            x = self.batch_norm(x)
            return self.activation(x) if act else x

    @staticmethod
    def _strided(convolve: Callable[[Any, str], Any], x: Any, size: int, rate: int, padding: str) -> Any:
        """A convolution, between blocks where it is dilated, as TensorFlow 1 computes it."""
        if rate == 1:
            return convolve(x, padding)
        block = [rate, rate]
        reach = rate * (size - 1)
        base = [[reach // 2, reach - reach // 2]] * 2 if padding == "SAME" else [[0, 0]] * 2
        paddings, crops = tf.required_space_to_batch_paddings(tf.shape(x)[1:3], block, base)
        blocks = convolve(tf.space_to_batch_nd(x, block, paddings), "VALID")
        result = v1.batch_to_space_nd(blocks, block, crops)
        result.set_shape([None, None, None, blocks.shape[-1]])
        return result


def classifier(x: Any, *, fused: bool = True) -> Any:
    """Convolutions, poolings by SAME and VALID, an average over all, and logits."""
    s = Slim(fused=fused)
    with v1.variable_scope("Net"):
        x = s.conv(x, 8, 3, "Conv2d_1a_3x3", stride=2)
        x = v1.nn.max_pool2d(x, 3, 2, "SAME", name="MaxPool_2a")
        branches = [s.conv(x, 6, 1, "Branch_0"), s.conv(x, 6, 3, "Branch_1"), v1.nn.avg_pool2d(x, 3, 1, "SAME")]
        x = tf.concat(branches, 3)
        x = v1.nn.max_pool2d(x, 2, 2, "VALID")
        x = s.conv(x, 16, 3, "Conv2d_3b_3x3")
        x = tf.reduce_mean(x, [1, 2], keepdims=True, name="global_pool")
        x = s.conv(x, 5, 1, "Logits", norm=False, act=False)
        x = tf.squeeze(x, [1, 2], name="SpatialSqueeze")
        return tf.nn.softmax(x, name="Predictions")


def deeplab_mobilenet(x: Any, *, classes: int = 4, blocks: int = 6, labels: bool = False) -> Any:
    """MobileNetV2 with atrous blocks, an image-level branch, and logits of the image's size."""
    s = Slim()
    size = tf.shape(x)[1:3]
    with v1.variable_scope("MobilenetV2"):
        x = s.conv(x * (2 / 255) - 1.0, 8, 3, "Conv", stride=2)
        rate = 1
        for number in range(blocks):
            with v1.variable_scope(f"expanded_conv_{number}"):
                stride = 2 if number in (1, 2) else 1
                rate = 2 if number > 2 else 1
                inner = s.conv(x, 24, 1, "expand")
                inner = s.depthwise(inner, "depthwise", stride=stride, rate=rate)
                inner = s.conv(inner, 8, 1, "project", act=False)
                x = tf.add(inner, x, name="add") if stride == 1 else inner
    with v1.variable_scope("aspp"):
        pooled = s.conv(tf.reduce_mean(x, [1, 2], keepdims=True), 8, 1, "image_pooling")
        pooled = v1.image.resize_bilinear(pooled, tf.shape(x)[1:3], align_corners=True)
        x = tf.concat([pooled, s.conv(x, 8, 1, "aspp0"), s.conv(x, 8, 3, "aspp1", rate=3)], 3)
        x = s.conv(x, 8, 1, "concat_projection")
    x = s.conv(x, classes, 1, "logits/semantic", norm=False, act=False)
    x = v1.image.resize_bilinear(x, size, align_corners=True, name="ResizeBilinear_3")
    return tf.argmax(x, 3, name="SemanticPredictions") if labels else tf.identity(x, name="logits")


def deeplab_xception(x: Any, *, classes: int = 4, middle: int = 2, width: int = 8) -> Any:
    """Xception-65's blocks: separable convolutions, fixed padding before strides, atrous middle and exit flows."""
    s = Slim(fused=False, activation=tf.nn.relu)
    size = tf.shape(x)[1:3]

    def separable(x: Any, filters: int, name: str, stride: int = 1, rate: int = 1) -> Any:
        x = tf.nn.relu(x)
        if stride > 1:  # the same alignment at every size of the image
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            with v1.variable_scope(f"{name}_depthwise"):
                kernel = s.kernel("depthwise_weights", [3, 3, x.shape[-1], 1], 9)
                x = v1.nn.depthwise_conv2d_native(x, kernel, [1, stride, stride, 1], "VALID")
                x = s.batch_norm(x)
        else:
            x = s.depthwise(x, f"{name}_depthwise", rate=rate, act=False)
        return s.conv(x, filters, 1, f"{name}_pointwise", act=False)

    def block(x: Any, filters: int, name: str, stride: int, rate: int, skip: str) -> Any:
        with v1.variable_scope(name):
            inner = x
            for number in (1, 2, 3):
                inner = separable(inner, filters, f"separable_conv{number}", stride if number == 3 else 1, rate)
            if skip == "conv":
                return inner + s.conv(x, filters, 1, "shortcut", stride=stride, act=False)
            return inner + x if skip == "sum" else inner

    with v1.variable_scope("xception_65"):
        x = s.conv(x, width, 3, "entry_flow/conv1_1", stride=2)
        x = s.conv(x, width, 3, "entry_flow/conv1_2")
        x = block(x, width, "entry_flow/block1", 2, 1, "conv")
        low = x
        x = block(x, 2 * width, "entry_flow/block2", 2, 1, "conv")
        for number in range(middle):
            x = block(x, 2 * width, f"middle_flow/unit_{number}", 1, 2, "sum")
        x = block(x, 2 * width, "exit_flow/block2", 1, 4, "none")
    x = s.conv(x, width, 1, "concat_projection")
    with v1.variable_scope("decoder"):
        low = s.conv(low, 6, 1, "feature_projection0")
        x = v1.image.resize_bilinear(x, tf.shape(low)[1:3], align_corners=True)
        x = tf.concat([x, low], 3)
        x = tf.nn.relu(separable(x, width, "decoder_conv0"))
    x = s.conv(x, classes, 1, "logits", norm=False, act=False)
    return v1.image.resize_bilinear(x, size, align_corners=True, name="upsampled")


def unet(x: Any, *, keep_prob: bool = True, classes: int = 3) -> Any:
    """A U-Net of TensorFlow 1's tutorials: dropout by a placeholder, transposed convolutions of computed sizes."""
    s = Slim(fused=False, activation=tf.nn.relu, epsilon=1e-5)
    kept: list[Any] = []
    rate = 1 - v1.placeholder(tf.float32, [], "keep_prob") if keep_prob else 0.0
    for number, filters in enumerate((6, 8)):
        x = s.conv(s.conv(x, filters, 3, f"down_{number}/a", norm=False), filters, 3, f"down_{number}/b")
        kept.append(x)
        x = v1.nn.max_pool2d(x, 2, 2, "SAME")
        x = v1.nn.dropout(x, rate=rate, seed=3) if keep_prob else x
    x = s.conv(x, 12, 3, "bottom")
    for number, skip in reversed(list(enumerate(kept))):
        filters = int(skip.shape[-1])
        with v1.variable_scope(f"up_{number}"):
            kernel = s.kernel("kernel", [2, 2, filters, x.shape[-1]], int(x.shape[-1]) * 4)
            sizes = tf.shape(skip)
            shape = tf.stack([tf.shape(x)[0], sizes[1], sizes[2], filters])
            x = tf.nn.conv2d_transpose(x, kernel, shape, [1, 2, 2, 1], "SAME")
            x = tf.nn.relu(tf.nn.bias_add(x, s.variable("bias", [filters])))
        x = s.conv(tf.concat([skip, x], 3), filters, 3, f"up_{number}/conv")
    return s.conv(x, classes, 1, "scores", norm=False, act=False)


@contextlib.contextmanager
def session(
    build: Builds, shape: Sequence[int | None] = (None, None, None, 3), dtype: Any = tf.float32
) -> Iterator[Any]:
    """A session with a network in it: `(session, image, result)`."""
    with tf.Graph().as_default(), v1.Session() as running:
        image = v1.placeholder(dtype, shape, name="image")
        result = build(tf.cast(image, tf.float32) if dtype != tf.float32 else image)
        running.run(v1.global_variables_initializer())
        yield running, image, result


def frozen(
    build: Builds, path: Any, shape: Sequence[int | None] = (None, None, None, 3), dtype: Any = tf.float32
) -> str:
    """Writes a frozen graph of one result or of several; returns its path."""
    with session(build, shape, dtype) as (running, _, result):
        names = [part.op.name for part in (result if isinstance(result, list) else [result])]
        graph = v1.graph_util.convert_variables_to_constants(running, running.graph.as_graph_def(), names)
    with open(path, "wb") as file:
        file.write(graph.SerializeToString())
    return os.fspath(path)


def run_frozen(path: Any, images: np.ndarray, outputs: Sequence[str], **feeds: Any) -> list[np.ndarray]:
    """What TensorFlow computes of a frozen graph, whose placeholder is `image`."""
    graph = v1.GraphDef()
    with open(path, "rb") as file:
        graph.ParseFromString(file.read())
    with tf.Graph().as_default(), v1.Session() as running:
        v1.import_graph_def(graph, name="")
        given = {f"{name}:0": value for name, value in feeds.items()}
        return running.run([f"{name}:0" for name in outputs], {"image:0": images, **given})


def saved_model(build: Builds, folder: Any, signatures: Sequence[str] = ("serving_default",)) -> str:
    """Writes a SavedModel of TensorFlow 1 with the same signature under several keys; returns its path."""
    with session(build) as (running, image, result):
        writer = v1.saved_model.Builder(os.fspath(folder))
        stated = v1.saved_model.predict_signature_def({"image": image}, {"scores": result})
        writer.add_meta_graph_and_variables(running, ["serve"], dict.fromkeys(signatures, stated))
        writer.save()
    return os.fspath(folder)


def checkpoint(build: Builds, prefix: Any, **options: Any) -> str:
    """Writes a checkpoint with its MetaGraph; returns the path of that."""
    with session(build) as (running, _, _):
        v1.train.Saver(**options).save(running, os.fspath(prefix))
    return f"{prefix}.meta"
