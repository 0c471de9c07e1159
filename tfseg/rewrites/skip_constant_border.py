"""The border of an FCN with padding 100: computed once, where it does not depend on the image."""

import dataclasses

import numpy as np
from keras import layers, ops

from tfseg.rewrites.border_axes import Axis
from tfseg.rewrites.border_layers import ConstantPadding, PastedBorder, kinds

POOLING = {"pool_size": (2, 2), "strides": (2, 2), "padding": "same"}
AXIS = ("added", "lost", "start", "near", "far")


@dataclasses.dataclass
class Stage:
    """Convolutions of stride 1 and what acts on every pixel by itself, then a pooling: the last of the steps.

    Attributes:
        steps, convs: all of them, and the convolutions among them.
        before, after: the `Axis` of rows and that of columns, of its input and of its output.
    """

    steps: list
    before: list
    after: list = None

    @property
    def convs(self):
        return [step for step in self.steps if isinstance(step.operation, layers.Conv2D)]

    @property
    def pooling(self):
        return self.steps[-1]

    def reach(self, axis):
        """How many pixels further a pixel of its input is seen, and how many of these "valid" convolutions cut off."""
        halves = [(conv.operation.kernel_size[axis] // 2, conv.operation.padding) for conv in self.convs]
        return sum(half for half, _ in halves), sum(half for half, padding in halves if padding == "valid")


def skip_constant_border(plan):
    """Behind a thick border of zeros, most of the first stages' maps is the same for every image of any size.

    A map consists of the part that the image reaches, which grows by half a kernel a convolution; of a pattern along
    the outer edge, where convolutions pad with zeros, which grows alike; and of one constant between them. So a stage
    needs only the first part, padded with the constant instead of the real border, and "valid" convolutions. At the end
    it is pasted into the rest. The pattern depends on the weights, and on the far side on how a size divides into
    poolings: each remainder of the size by 2, 4, 8, ... has its own, found here by running the stages on tiny maps.

    From a `ZeroPadding2D` on, as many stages are treated as the constant lasts: in the paper's networks, four.

    Returns: the names of the stages' poolings.
    """
    done = []
    for padding in plan.of_kind(layers.ZeroPadding2D):
        stages = _stages(plan, padding)
        if stages:
            _rewrite(plan, padding, stages)
            done += [stage.pooling.name for stage in stages]
    return done


def _stages(plan, padding):
    """Those behind a padding that have a constant border."""
    axes, stages = [Axis.of(pads) for pads in padding.operation.padding], []
    for steps in _chain(plan, padding.result, []):
        stage = Stage(steps, axes)
        stage.after = axes = [axis.behind(*stage.reach(index)) for index, axis in enumerate(axes)]
        if not all(axes):
            break
        stages.append(stage)
    return stages


def _chain(plan, ref, steps):
    """The longest chain of stages that follow a result, a list of steps each; `steps` have been made of the first."""
    chains, readers = [[]], plan.readers(ref)
    changeable = plan.of_kind(layers.Conv2D, layers.MaxPooling2D, layers.Activation, layers.ReLU)
    for step in readers if not steps or len(readers) == 1 else []:  # inside a stage, nobody else reads
        if step not in changeable:
            continue
        if not isinstance(step.operation, layers.MaxPooling2D):
            if not isinstance(step.operation, layers.Conv2D) or _is_plain(step.operation):
                chains.append(_chain(plan, step.result, [*steps, step]))
        elif steps and all(getattr(step.operation, key) == value for key, value in POOLING.items()):
            chains.append([[*steps, step], *_chain(plan, step.result, [])])
    return max(chains, key=len)


def _is_plain(conv):
    odd = all(size % 2 for size in conv.kernel_size)
    return odd and max(conv.strides) == max(conv.dilation_rate) == conv.groups == 1


def _rewrite(plan, padding, stages):
    image = padding.refs[0]
    rows, columns = stages[0].before
    table = np.zeros((rows.kinds, columns.kinds, stages[0].convs[0].arrays[0].shape[2]), "float32")
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        pads = [axis.pads(*stage.reach(index)) for index, axis in enumerate(stage.before)]
        first, dtype = stage.steps[0], stage.pooling.operation.dtype_policy
        if stage is stages[0]:  # the border's own zeros, but no more than are needed
            padding.changes = {"padding": tuple(pads)}
        else:
            value = table[stage.before[0].near, stage.before[1].near]
            plan.put_before(first, "pad", ConstantPadding, {"pads": pads, "dtype": dtype}, [value])
        table = _table_behind(stage, table)
        for conv in stage.convs:
            conv.changes = conv.changes | {"padding": "valid"}
        stage.pooling.changes = {"padding": "valid"}
        readers = plan.readers(stage.pooling.result)
        others = [one for one in readers if following is None or one is not following.steps[0]]
        if others:
            config = {"axes": [{key: getattr(axis, key) for key in AXIS} for axis in stage.after], "dtype": dtype}
            plan.put_behind(stage.pooling, [image], others, "border", PastedBorder, config, [table])


def _table_behind(stage, table):
    """What every kind of pixel is behind a stage (see `kinds`), given what they are before it.

    Each remainder of rows and each of columns have a map, as small as possible; those of one size run together.
    """
    old, new = (
        [lambda size, remainder, axis=axis: _kinds(axis, size, remainder) for axis in axes]
        for axes in (stage.before, stage.after)
    )
    result = np.zeros((*(axis.kinds for axis in stage.after), stage.convs[-1].arrays[0].shape[3]), "float32")
    samples = [before.samples(after) for before, after in zip(stage.before, stage.after, strict=True)]
    for height, tops in samples[0].items():
        for width, lefts in samples[1].items():
            pairs = [(top, left) for top in tops for left in lefts]
            maps = np.stack([table[np.ix_(old[0](height, top), old[1](width, left))] for top, left in pairs])
            maps = _run(stage, maps)
            for (top, left), one in zip(pairs, maps, strict=True):
                result[np.ix_(new[0](one.shape[0], top), new[1](one.shape[1], left))] = one
    return result


def _kinds(axis, size, remainder):
    return ops.convert_to_numpy(kinds(axis.near, axis.far, size, remainder % 2 ** len(axis.lost)))


def _run(stage, maps):
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
