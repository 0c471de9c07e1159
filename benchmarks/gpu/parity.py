"""Part "parity": logits under JAX on the accelerator beside the CPU's in float32.

    python -m benchmarks.gpu.parity RESULTS HEIGHT WIDTH WIDTH_FACTOR NETWORK [NETWORK ...]

measures the networks that are named, in this process. The weights are random, and none of them hides an error.
"""

import contextlib
import importlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

if TYPE_CHECKING:
    import keras

NETWORKS = (
    *("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce", "deeplab_largefov", "deeplabv2_vgg16", "plain_unet"),
    *("fcn_resnet18", "fcn_resnet50", "deeplabv2_resnet50", "deeplabv3_resnet50", "deeplabv3plus_resnet50"),
    *("pspnet_resnet50", "drnseg_drn_d_22", "drnseg_drn_c_26", "fpn_resnet34", "linknet_resnet34", "manet_resnet34"),
    *("unet_resnet34", "unetplusplus_resnet34", "upernet_resnet50", "segformer_mit_b0", "lraspp_mobilenet_v3_large"),
    *("unet_efficientnet_b0", "pan_resnet34"),
)


@contextlib.contextmanager
def drawn_by_numpy() -> Iterator[None]:
    """A context in which NumPy draws the initial values of networks: JAX would compile a function for every shape."""
    random, source = importlib.import_module("keras.src.backend.jax.random"), np.random.default_rng(0)

    def draw(shape: tuple[int, ...], *_: Any, **__: Any) -> np.ndarray:
        return source.normal(0, 0.05, shape).astype("float32")

    with contextlib.ExitStack() as stack:
        for name in ("normal", "truncated_normal", "uniform"):
            stack.enter_context(mock.patch.object(random, name, draw))
        yield


def compute(model: "keras.Model", images: np.ndarray, device: Any) -> np.ndarray:
    """The logits of a model on a device, with TF32 off.

    Args:
        model: a segmenter.
        images: a preprocessed batch.
        device: a device of JAX.
    """
    import jax

    from tfseg.outputs import logits_of

    @jax.jit
    def pure(trained: list[Any], fixed: list[Any], batch: Any) -> Any:
        return logits_of(model.stateless_call(trained, fixed, batch, training=False)[0])

    parts = (model.trainable_variables, model.non_trainable_variables)
    values = [[variable.value for variable in part] for part in parts]
    with jax.default_matmul_precision("highest"):
        return np.asarray(pure(*jax.device_put((*values, images), device)), "float32")


def differences(expected: np.ndarray, accelerated: np.ndarray, half: np.ndarray) -> dict[str, float]:
    """How far logits are from those of the CPU.

    Args:
        expected: logits of the CPU in float32.
        accelerated: logits of the accelerator in float32.
        half: logits of the accelerator in bfloat16.
    Raises:
        ValueError: logits that are not finite or that do not vary.
    """
    if not np.isfinite(expected).all() or not expected.std() > 0:
        raise ValueError("The CPU's logits are not finite, or do not vary: they would hide an error.")

    def relative(logits: np.ndarray) -> float:
        largest = float(np.abs(logits - expected).max() / np.abs(expected).max())
        return largest if np.isfinite(logits).all() else float("inf")

    return {
        "relative_difference": relative(accelerated),
        "bfloat16_relative_difference": relative(half),
        "bfloat16_same_class": float((half.argmax(-1) == expected.argmax(-1)).mean()),
        "float32_same_class": float((accelerated.argmax(-1) == expected.argmax(-1)).mean()),
    }


def measure(network: str, height: int, width: int, width_factor: float) -> dict[str, Any]:
    """The differences of a network of `tfseg.list_models()`.

    Args:
        network: its name.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        width_factor: factor of the network's channels.
    """
    import jax
    import keras
    from helpers.random_weights import random_image, randomize_weights

    import tfseg
    from tfseg.training.precision import with_dtype

    begin = time.monotonic()
    keras.utils.set_random_seed(0)
    with drawn_by_numpy():
        model = randomize_weights(tfseg.build(network, num_classes=21, width=width_factor))
        half_model = with_dtype(model, "mixed_bfloat16")
    image, accelerator = random_image(height, width), jax.devices()[0]
    expected = compute(model, image, jax.devices("cpu")[0])
    accelerated = compute(model, image, accelerator)
    half = compute(half_model, image, accelerator)
    facts = {"device": accelerator.device_kind, "seconds": round(time.monotonic() - begin, 1)}
    return differences(expected, accelerated, half) | facts


def main(path: str, height: int, width: int, width_factor: float, networks: list[str]) -> None:
    """Measures networks, and writes a record of each.

    Args:
        path: path of the records.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        width_factor: factor of the networks' channels.
        networks: names of networks.
    """
    from benchmarks.gpu.records import Records

    records = Records(path)
    for network in networks:
        entries = {"network": network, "height": height, "width": width, "width_factor": width_factor}
        try:
            result: dict[str, Any] = measure(network, height, width, width_factor)
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"[:500]}
        records.add("parity", **entries, **result)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
