"""The border of an FCN with padding 100: computed once, where it does not depend on the image."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from tfseg.rewrites.border_axes import BorderAxis
from tfseg.rewrites.border_layers import ConstantPadding, PastedBorder, pixel_kinds
from tfseg.rewrites.plan import ResultRef, RewritePlan, RewriteStep
from tfseg.types import Array

POOLING = {"pool_size": (2, 2), "strides": (2, 2), "padding": "same"}
AXIS_KEYS = ("added", "lost", "start", "near", "far")


@dataclasses.dataclass(frozen=True)
class PoolingStage:
    """Convolutions of stride 1 and layers that act on every pixel by itself, then a pooling.

    Attributes:
        steps: all of these calls, the pooling last.
        before: axes of the rows and the columns of its input.
        after: axes of the rows and the columns of its output.
    """

    steps: list[RewriteStep]
    before: list[BorderAxis]
    after: list[BorderAxis]

    @property
    def convs(self) -> list[RewriteStep]:
        """The convolutions among the steps."""
        return _convs(self.steps)

    @property
    def pooling(self) -> RewriteStep:
        """The last step."""
        return self.steps[-1]


def skip_constant_border(plan: RewritePlan) -> list[str]:
    """After a thick border of zeros, most of the first stages' maps is the same for every image of any size.

    A map has three parts. The image reaches the first, which grows by half a kernel with each convolution. The second
    is a pattern along the outer edge, where convolutions pad with zeros; it grows in the same way. Between them is one
    constant. So a stage needs only the first part, padded with the constant instead of the real border, and "valid"
    convolutions. At the end this part is pasted into the rest.

    The pattern depends on the weights. At the far side it also depends on how a size divides into poolings: each
    remainder of the size by 2, 4, 8, ... has its own. They are found here by running the stages on tiny maps.

    From a `ZeroPadding2D` on, it treats as many stages as the constant lasts: in the paper's networks, four.

    Args:
        plan: calls of the model; edited in place.
    Returns: the names of the stages' poolings.
    """
    poolings = []
    for padding in plan.of_kind(layers.ZeroPadding2D):
        stages = _stages(plan, padding)
        if stages:
            _rewrite(plan, padding, stages)
            poolings += [stage.pooling.name for stage in stages]
    return poolings


def _convs(steps: Sequence[RewriteStep]) -> list[RewriteStep]:
    return [step for step in steps if isinstance(step.operation, layers.Conv2D)]


def _reach(steps: Sequence[RewriteStep], axis: int) -> tuple[int, int]:
    """`(reach, lost)` of a stage along rows (0) or columns (1), as `BorderAxis.after_stage` takes them."""
    halves = [(conv.operation.kernel_size[axis] // 2, conv.operation.padding) for conv in _convs(steps)]
    return sum(half for half, _ in halves), sum(half for half, padding in halves if padding == "valid")


def _stages(plan: RewritePlan, padding: RewriteStep) -> list[PoolingStage]:
    """The stages after a padding that have a constant border."""
    before, stages = [BorderAxis.of_padding(pads) for pads in padding.operation.padding], []
    for steps in _chain(plan, padding.result, []):
        moved = [axis.after_stage(*_reach(steps, index)) for index, axis in enumerate(before)]
        after = [axis for axis in moved if axis]
        if len(after) < len(before):
            break
        stages.append(PoolingStage(steps, before, after))
        before = after
    return stages


def _chain(plan: RewritePlan, ref: ResultRef, steps: list[RewriteStep]) -> list[list[RewriteStep]]:
    """The longest chain of stages that read a result, as lists of steps; `steps` is the first part of the first."""
    chains: list[list[list[RewriteStep]]] = [[]]
    readers = plan.readers(ref)
    changeable = plan.of_kind(layers.Conv2D, layers.MaxPooling2D, layers.Activation, layers.ReLU)
    for step in readers if not steps or len(readers) == 1 else []:  # inside a stage, nothing else may read
        if step is None or step not in changeable:
            continue
        if not isinstance(step.operation, layers.MaxPooling2D):
            if not isinstance(step.operation, layers.Conv2D) or _is_centered(step.operation):
                chains.append(_chain(plan, step.result, [*steps, step]))
        elif steps and all(getattr(step.operation, key) == value for key, value in POOLING.items()):
            chains.append([[*steps, step], *_chain(plan, step.result, [])])
    return max(chains, key=len)


def _is_centered(conv: keras.layers.Conv2D) -> bool:
    """Whether the kernel is odd, without stride, dilation or groups."""
    odd = all(size % 2 for size in conv.kernel_size)
    return odd and max(conv.strides) == max(conv.dilation_rate) == conv.groups == 1


def _rewrite(plan: RewritePlan, padding: RewriteStep, stages: list[PoolingStage]) -> None:
    image = padding.refs[0]
    rows, columns = stages[0].before
    channels = stages[0].convs[0].arrays[0].shape[2]
    table = np.zeros((rows.kind_count, columns.kind_count, channels), "float32")
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        pads = [axis.pads(*_reach(stage.steps, index)) for index, axis in enumerate(stage.before)]
        first, dtype = stage.steps[0], stage.pooling.operation.dtype_policy
        if stage is stages[0]:  # the border's own zeros, but no more than are needed
            padding.changes = {"padding": tuple(pads)}
        else:
            value = table[stage.before[0].near, stage.before[1].near]
            plan.put_before(first, "pad", ConstantPadding, {"pads": pads, "dtype": dtype}, [value])
        table = _table_after(stage, table)
        for conv in stage.convs:
            conv.changes = conv.changes | {"padding": "valid"}
        stage.pooling.changes = {"padding": "valid"}
        readers = plan.readers(stage.pooling.result)
        others = [reader for reader in readers if following is None or reader is not following.steps[0]]
        if others:
            config = {"axes": [{key: getattr(axis, key) for key in AXIS_KEYS} for axis in stage.after], "dtype": dtype}
            plan.put_after(stage.pooling, [image], others, "border", PastedBorder, config, [table])


def _table_after(stage: PoolingStage, table: Array) -> Array:
    """The value of every kind of pixel after a stage, given the values before it (see `pixel_kinds`).

    Each remainder of rows and each of columns have a map, as small as possible; maps of one size run together.
    """
    channels = stage.convs[-1].arrays[0].shape[3]
    result = np.zeros((*(axis.kind_count for axis in stage.after), channels), "float32")
    (rows, columns), (new_rows, new_columns) = stage.before, stage.after
    for height, tops in rows.samples(new_rows).items():
        for width, lefts in columns.samples(new_columns).items():
            pairs = [(top, left) for top in tops for left in lefts]
            maps = np.stack(
                [table[np.ix_(_kinds(rows, height, top), _kinds(columns, width, left))] for top, left in pairs]
            )
            for (top, left), pixels in zip(pairs, _run(stage, maps), strict=True):
                new_height, new_width, _ = pixels.shape
                place = np.ix_(_kinds(new_rows, new_height, top), _kinds(new_columns, new_width, left))
                result[place] = pixels
    return result


def _kinds(axis: BorderAxis, size: int, remainder: int) -> Array:
    return ops.convert_to_numpy(pixel_kinds(axis.near, axis.far, size, remainder % 2 ** len(axis.lost)))


def _run(stage: PoolingStage, maps: Array) -> Array:
    """The stage's output for maps `(batch, height, width, channels)`."""
    x = maps
    for step in stage.steps:
        if step is stage.pooling:
            x = ops.max_pool(x, 2, 2, "same", "channels_last")
        elif step in stage.convs:
            kernel, *bias = step.arrays
            x = ops.conv(x, kernel.astype("float32"), 1, step.operation.padding, "channels_last")
            x = step.operation.activation(ops.add(x, bias[0].astype("float32")) if bias else x)
        else:
            x = ops.cast(step.operation(x), "float32")  # it may compute in fewer bits
    return ops.convert_to_numpy(x)
