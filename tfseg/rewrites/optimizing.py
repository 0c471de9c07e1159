"""`optimize`: the rewrites in turn, and what they did."""

import statistics
import time

import numpy as np

from tfseg.rewrites.border import skip_constant_border
from tfseg.rewrites.folding import fold_batch_norm
from tfseg.rewrites.plans import Plan
from tfseg.rewrites.slicing import slice_convolutions
from tfseg.rewrites.upsampling import separate_upsampling

# In the order in which they are made: each works on what those before it left.
REWRITES = {
    rewrite.__name__: rewrite
    for rewrite in (fold_batch_norm, skip_constant_border, slice_convolutions, separate_upsampling)
}
SIDE, ROUNDS = 225, 3  # of the image, and how often, that `explain` measures


def optimize(model, *, rewrites=tuple(REWRITES), explain=False):
    """The same network in fewer operations, for inference: any image size, the same input, output and facts.

    Logits differ by rounding: at most 1e-5 of the largest, in float32. The result is not for training: BatchNorms are
    gone, and parts of the maps are constants made of the weights as they are now.

    Args:
        model: functional or Sequential `keras.Model`. Models inside it are dissolved into their layers. It stays as it
            is. Layers that no rewrite knows pass through.
        rewrites: names of those to make, of `tfseg.rewrites.optimizing.REWRITES`; the functions say their laws.
            "fold_batch_norm", into the convolution before it; "skip_constant_border", of networks that pad the image
            by 100; "slice_convolutions" of large or dilated kernels into matrix products; "separate_upsampling" of
            transposed convolutions whose kernel is bilinear, or separable at all.
        explain: print what was rewritten, and what each rewrite gained on a small image of noise, measured here.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: a model that is no graph, or an unknown rewrite.
    """
    unknown = set(rewrites) - set(REWRITES)
    if isinstance(rewrites, str) or unknown:
        raise ValueError(f"rewrites is a tuple of names out of {', '.join(REWRITES)}. Received: {rewrites!r}")
    plan = Plan(model)
    report = _Report(model) if explain else None
    for name, rewrite in REWRITES.items():
        if name in rewrites:
            changed = rewrite(plan)
            if report:
                report.row(name, changed, plan.build() if changed else None)
    return plan.build()


class _Report:
    """Prints what each rewrite did, and the time of the model as it is by then."""

    def __init__(self, model):
        self.before = self.start = _seconds(model)
        print(f"{model.name}: {self.start * 1e3:.0f} ms, batch 1, {SIDE} x {SIDE} where any size will do")

    def row(self, name, changed, model):
        print(f"{name}: {REWRITES[name].__doc__.splitlines()[0]}")
        if model is None:
            print("    nothing to change")
            return
        now = _seconds(model)
        what = ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
        print(f"    {len(changed)} of its layers: {what}")
        print(f"    {now * 1e3:.0f} ms, {self.before / now:.2f} times faster; {self.start / now:.2f} in all")
        self.before = now


def _image(model):
    """Noise for each of the model's inputs."""
    random = np.random.default_rng(0)
    shapes = [(1, *(SIDE if side is None else side for side in tensor.shape[1:])) for tensor in model.inputs]
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def _seconds(model):
    images, times = _image(model), []
    for _ in range(ROUNDS + 1):  # the first one compiles
        begin = time.perf_counter()
        model.predict_on_batch(images if len(images) > 1 else images[0])
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])
