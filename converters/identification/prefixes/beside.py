"""What training keeps beside a network, known by its name."""

import functools
import math
import re

import numpy as np

from converters.types import Shape

PREPARATION = "of the preparation of images"
COPY = "of a copy of the network"
TRAINING_HEAD = "of a head that only self-supervised training has"

TRAINING_HEAD = "of a head that only self-supervised training has"
# Part of the key, what it is, and most axes that such a tensor has.
_PARTS = (
    (r"(\w+_)?(criterion|criterions|criteria|crit|loss|losses|loss_?fn|loss_?func|lossfunc)(_?\w+)?", "of a loss", 9),
    (r"\w+(_loss|Loss)\d*", "of a loss", 9),
    (
        r"(\w+_)?(ce|bce|nll|cross_?entropy|dice|focal|tversky|lovasz|ohem|objective|log_?(vars?|sigmas?))(_\w+)?\d*",
        "of a loss",
        1,
    ),
    (r"(\w+_)?metrics?(_?\w+)?", "of a metric", 9),
    (
        r"(\w+_)?(accuracy|acc|m?iou|jaccard|f1|f1_?score|auroc|confmat|confusion_matrix|precision|recall)(_?\w+)?",
        "of a metric",
        2,
    ),
    (r"queue\w*", "of a queue of training examples", 9),
    (
        r"(\w+_)?(encoder_[kq]|key_encoder|query_encoder|base_encoder|momentum\w*|target_\w+|online_\w+|teacher\w*|"
        r"student\w*|ema(_\w+)?|swa(_\w+)?|attacker)",
        COPY,
        9,
    ),
    (
        r"(\w+_)?(projector|projection_head|projection|projection_mlp|proj_head|predictor|prediction_head|"
        r"prediction_mlp|prototypes)\d*",
        TRAINING_HEAD,
        2,
    ),
    (
        r"n_averaged|num_updates|decay|((global|train|best|current)_)?(step|epoch|iteration|iter|score)|initted|seen|"
        r"center|(\w+_)?(count|counter|total|num|dummy)(_\w+)?|n_\w+|_?(dummy|device)\w*",
        "of training",
        1,
    ),
)
# The same for whole keys.
_KEYS = (
    (r"(.*\.)?neck\.(mlp2?|fc\d*|bn\d*|projector)(\.\w+)+", TRAINING_HEAD),
    (r"(.*\.)?head\.(mlp2?|last_layer|predictor|prototypes)(\.\w+)+", TRAINING_HEAD),
    # A BatchNorm without factors normalizes what a loss compares.
    (r"bn\.(running_mean|running_var|num_batches_tracked)", TRAINING_HEAD),
)
FASTAI_HEAD = "of fastai's head"
_FASTAI = re.compile(r"fastai_head\.\d+\.\w+")
# The weight of a loss, as a tensor without a module or of a module that is no layer.
_LOSS_WEIGHT = re.compile(r"weights?|(.*\.)?((class|cls|pos|task|label|sample|pixel|balance)_weights?|weights)")
# Buffers that prepare images: one number for each channel.
_PREPARATION = re.compile(
    r"(.*\.)?((pixel|image|img|input|data|dataset|imagenet|rgb|norm)_)?(mean|std)"
    r"|(.*\.)?(normali[sz]er?|preprocess(or)?)\.(\w+\.)?\w*(mean|std)"
)
_MOST_CHANNELS = 16


@functools.lru_cache(50_000)  # each view of a file looks at the same tensors
def why_beside(name: str, shape: Shape, dtype: np.dtype, *, lone_is_head: bool) -> str:
    """What a tensor is that no network reads; nothing if it may be part of one.

    Args:
        name: its key, as the module that holds it and the network names it.
        shape: its shape.
        dtype: type of its numbers.
        lone_is_head: whether a lone dense layer with the name of a head of training may be a classifier.
    """
    if name.endswith(("mean", "std")) and _PREPARATION.fullmatch(name) and math.prod(shape) <= _MOST_CHANNELS:
        return PREPARATION
    parts = name.split(".")
    for rank in sorted({rank for part in parts for rank in _ranks(part)}):
        _, why, axes = _PARTS[rank]
        lone = why == TRAINING_HEAD and not any(rank in _ranks(part) for part in parts[:-2])
        if len(shape) <= axes and not (lone and lone_is_head):
            return why
    if len(shape) <= 1 and _LOSS_WEIGHT.fullmatch(name):
        return "of a loss"
    if len(shape) <= 2 and _FASTAI.fullmatch(name):
        return FASTAI_HEAD
    for pattern, why in _KEYS:
        if re.fullmatch(pattern, name):
            return why
    if np.dtype(dtype).kind in "iub" and parts[-1] not in ("num_batches_tracked", "zero_point"):
        return "whole numbers"
    return "empty" if 0 in shape else ""


@functools.lru_cache(10_000)  # few parts make the thousands of names of a file
def _ranks(part: str) -> tuple[int, ...]:
    """Rows of `_PARTS` that a part of a key fits."""
    return tuple(rank for rank, (pattern, _, _) in enumerate(_PARTS) if re.fullmatch(pattern, part))
