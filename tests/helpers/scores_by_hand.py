"""The scores of a segmenter, computed by pixel sets as papers define them."""

import numpy as np

NAN = float("nan")


def by_hand(true, predicted, num_classes, ignored=(255,)):
    """The papers' words, pixel sets and all."""
    counted = ~np.isin(true, ignored)
    true, predicted = true[counted], predicted[counted]
    accuracy, iou, share = [], [], []
    for one in range(num_classes):
        inside, found = true == one, predicted == one
        both, either = (inside & found).sum(), (inside | found).sum()
        accuracy.append(both / inside.sum() if inside.any() else NAN)
        iou.append(both / either if either else NAN)
        share.append(inside.sum() / len(true) if len(true) else NAN)
    present = [value for value in iou if value == value]
    accurate = [value for value in accuracy if value == value]
    weighted = [part * value for part, value in zip(share, iou, strict=True) if value == value]
    return {
        "pixel_accuracy": (true == predicted).mean() if len(true) else NAN,
        "mean_accuracy": np.mean(accurate) if accurate else NAN,
        "mean_iou": np.mean(present) if present else NAN,
        "frequency_weighted_iou": np.sum(weighted) if len(true) else NAN,
        "accuracy": accuracy,
        "iou": iou,
    }
