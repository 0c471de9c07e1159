"""`optimize`: the rewrites in turn, and what they did."""

import numpy as np

from tfseg.rewrites.fold_batch_norm import fold_batch_norm
from tfseg.rewrites.plan import Plan
from tfseg.rewrites.separate_upsampling import separate_upsampling
from tfseg.rewrites.skip_constant_border import skip_constant_border
from tfseg.rewrites.slice_convolutions import slice_convolutions
from tfseg.rewrites.split_filters import split_filters
from tfseg.rewrites.timing import seconds
from tfseg.rewrites.winograd import use_winograd

# In the order in which they are made: each works on what those before it left.
REWRITES = {
    rewrite.__name__: rewrite
    for rewrite in (
        fold_batch_norm,
        skip_constant_border,
        slice_convolutions,
        split_filters,
        separate_upsampling,
        use_winograd,
    )
}
FIXED = use_winograd.__name__  # needs to know the maps' sizes
SIDE = 225  # of the image that `explain` measures with, if any size will do


def optimize(model, *, fixed_size=None, rewrites=tuple(REWRITES), explain=False):
    """The same network in fewer or quicker operations, for inference on a CPU: the same input, output and facts.

    Logits differ by rounding: at most 1e-5 of the largest, in float32. The result is not for training: BatchNorms are
    gone, and parts of the maps are constants made of the weights as they are now.

    Args:
        model: functional or Sequential `keras.Model`. Models inside it are dissolved into their layers. It stays as it
            is. Layers that no rewrite knows pass through.
        fixed_size: `(height, width)` of every image to come, which makes one more rewrite possible; None: of any size.
        rewrites: names of those to make, of `tfseg.rewrites.optimize.REWRITES`; the functions say their laws.
            "fold_batch_norm", into the convolution before it; "skip_constant_border", of networks that pad the image
            by 100; "slice_convolutions" of large kernels into matrix products; "split_filters" of others where they
            are many; "separate_upsampling" of transposed convolutions whose kernel is bilinear, or separable at all;
            "use_winograd" for 3x3 kernels, with `fixed_size` only, where a measurement made here says that it pays (a
            minute, on two cores).
        explain: print what was rewritten, and what each rewrite gained on an image of noise, measured here.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: a model that is no graph, one that has another fixed size, or an unknown rewrite.
    """
    unknown = set(rewrites) - set(REWRITES)
    if isinstance(rewrites, str) or unknown:
        raise ValueError(f"rewrites is a tuple of names out of {', '.join(REWRITES)}. Received: {rewrites!r}")
    if fixed_size is not None and not _is_size(fixed_size):
        raise ValueError(f"fixed_size is (height, width) in pixels. Received: {fixed_size!r}")
    plan = Plan(model)
    report = _Report(model, fixed_size) if explain else None
    for name, rewrite in REWRITES.items():
        if name not in rewrites or (name == FIXED and not fixed_size):
            continue
        if name == FIXED:
            plan = Plan(plan.build(fixed_size))  # whose maps have sizes
        changed = rewrite(plan)
        if report:
            report.row(name, changed, plan.build(fixed_size) if changed else None)
    return plan.build(fixed_size)


def _is_size(sides):
    pair = isinstance(sides, list | tuple) and len(sides) == 2
    return pair and all(isinstance(side, int) and side > 0 for side in sides)


class _Report:
    """Prints what each rewrite did, and the time of the model as it is by then."""

    def __init__(self, model, fixed_size):
        self.sides = fixed_size or (SIDE, SIDE)
        self.before = self.start = self._seconds(model)
        where = "x".join(map(str, self.sides)) + ("" if fixed_size else ", if any size will do")
        print(f"{model.name}: {self.start * 1e3:.0f} ms, batch 1, {where}")

    def row(self, name, changed, model):
        print(f"{name}: {REWRITES[name].__doc__.splitlines()[0]}")
        if model is None:
            print("    nothing to change")
            return
        now = self._seconds(model)
        what = ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
        print(f"    {len(changed)} of its layers: {what}")
        print(f"    {now * 1e3:.0f} ms, {self.before / now:.2f} times faster; {self.start / now:.2f} in all")
        self.before = now

    def _seconds(self, model):
        random = np.random.default_rng(0)
        shapes = [
            (1, *(given or side for given, side in zip(tensor.shape[1:-1], self.sides, strict=False)), tensor.shape[-1])
            for tensor in model.inputs
        ]
        return seconds(model, [random.normal(size=shape).astype("float32") for shape in shapes])
