"""`optimize`: the rewrites in turn, and what they changed."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from tfseg.rewrites.fold_batch_norm import fold_batch_norm
from tfseg.rewrites.plan import RewritePlan
from tfseg.rewrites.separate_upsampling import separate_upsampling
from tfseg.rewrites.skip_constant_border import skip_constant_border
from tfseg.rewrites.slice_convolutions import slice_convolutions
from tfseg.rewrites.split_filters import split_filters
from tfseg.rewrites.timing import median_seconds
from tfseg.rewrites.use_winograd import use_winograd
from tfseg.types import Size

# In the order in which they are applied: each works on what those before it left.
REWRITES: dict[str, Callable[[RewritePlan], list[str]]] = {
    "fold_batch_norm": fold_batch_norm,
    "skip_constant_border": skip_constant_border,
    "slice_convolutions": slice_convolutions,
    "split_filters": split_filters,
    "separate_upsampling": separate_upsampling,
    "use_winograd": use_winograd,
}
# Fewer multiplications, for every runtime; the others are orders of the same ones, which suit TensorFlow's kernels.
FEWER_OPERATIONS = ("fold_batch_norm", "skip_constant_border", "separate_upsampling")
NEEDS_FIXED_SIZE = "use_winograd"  # it must know the maps' sizes
SIDE = 225  # of the image that `explain` measures with, if the model takes any size


def optimize(
    model: keras.Model,
    *,
    fixed_size: Size | None = None,
    rewrites: Sequence[str] = tuple(REWRITES),
    explain: bool = False,
) -> keras.Model:
    """The same network in fewer or quicker operations, for inference on a CPU: the same input, output and metadata.

    Logits differ by rounding: at most 1e-5 of the largest, in float32. The result is not for training: BatchNorms are
    gone, and parts of the maps are constants made of the weights as they are now.

    The functions in `tfseg.rewrites.optimize.REWRITES` say what each rewrite does and why it is exact.

    * "fold_batch_norm" folds a BatchNorm into the convolution before it.
    * "skip_constant_border" serves networks that pad the image by 100.
    * "slice_convolutions" makes large kernels into matrix products.
    * "split_filters" splits the other convolutions if they have many filters.
    * "separate_upsampling" takes transposed convolutions whose kernel is bilinear, or any other separable one.
    * "use_winograd" takes 3x3 kernels. It needs `fixed_size`, and applies where a measurement made here says that it
      pays (a minute on two cores).

    Args:
        model: functional or Sequential `keras.Model`; it is not changed. Models inside it are dissolved into their
            layers. Layers that no rewrite knows are copied.
        fixed_size: `(height, width)` in pixels of every image to come, which makes "use_winograd" possible. None means
            images of any size.
        rewrites: names of the rewrites to apply; by default all.
        explain: whether to print what was rewritten, and what each rewrite gained on an image of noise, measured here.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: the model is a subclass or has another fixed size, or a rewrite is unknown.
    Example:
        >>> model = tfseg.FCN(tfseg.VGG(11, batch_norm=True, width=1 / 16), num_classes=5)
        >>> fast = tfseg.optimize(model)
        >>> image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
        >>> bool(np.allclose(model(image), fast(image), atol=1e-4))
        True
        >>> len(model.layers) > len(fast.layers)
        True
    """
    unknown = set(rewrites) - set(REWRITES)
    if isinstance(rewrites, str) or unknown:
        raise ValueError(f"rewrites is a tuple of names out of {', '.join(REWRITES)}. Received: {rewrites!r}")
    if fixed_size is not None and not _is_size(fixed_size):
        raise ValueError(f"fixed_size is (height, width) in pixels. Received: {fixed_size!r}")
    plan = RewritePlan(model)
    report = _SpeedReport(model, fixed_size) if explain else None
    for name, rewrite in REWRITES.items():
        if name not in rewrites or (name == NEEDS_FIXED_SIZE and not fixed_size):
            continue
        if name == NEEDS_FIXED_SIZE:
            plan = RewritePlan(plan.build(fixed_size))  # its maps have sizes
        changed = rewrite(plan)
        if report:
            report.row(name, changed, plan.build(fixed_size) if changed else None)
    return plan.build(fixed_size)


def _is_size(sides: object) -> bool:
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return False
    return all(isinstance(side, int) and side > 0 for side in sides)


class _SpeedReport:
    """Prints what each rewrite changed, and the time of the model after it."""

    def __init__(self, model: keras.Model, fixed_size: Size | None):
        self.sides = fixed_size or (SIDE, SIDE)
        self.before = self.start = self._seconds(model)
        where = "x".join(map(str, self.sides)) + ("" if fixed_size else " if the model takes any size")
        print(f"{model.name}: {self.start * 1e3:.0f} ms, batch 1, {where}")

    def row(self, name: str, changed: list[str], model: keras.Model | None) -> None:
        law = (REWRITES[name].__doc__ or "").partition("\n")[0]
        print(f"{name}: {law}")
        if model is None:
            print("    nothing to change")
            return
        now = self._seconds(model)
        layers = ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
        print(f"    {len(changed)} of its layers: {layers}")
        print(f"    {now * 1e3:.0f} ms, {self.before / now:.2f} times faster; {self.start / now:.2f} in all")
        self.before = now

    def _seconds(self, model: keras.Model) -> float:
        random = np.random.default_rng(0)
        shapes = [
            (1, *(given or side for given, side in zip(tensor.shape[1:-1], self.sides, strict=False)), tensor.shape[-1])
            for tensor in model.inputs
        ]
        return median_seconds(model, [random.normal(size=shape).astype("float32") for shape in shapes])
