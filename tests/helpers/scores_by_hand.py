"""The scores of a segmenter, computed from sets of pixels as papers define them."""

from collections.abc import Sequence

import numpy as np

NAN = float("nan")


def by_hand(
    true: np.ndarray, predicted: np.ndarray, num_classes: int, ignored: Sequence[int] = (255,)
) -> dict[str, float | list[float]]:
    """Every score, by its definition."""
    counted = ~np.isin(true, ignored)
    true, predicted = true[counted], predicted[counted]
    accuracy, iou, shares = [], [], []
    for class_id in range(num_classes):
        in_truth, in_prediction = true == class_id, predicted == class_id
        both, either = (in_truth & in_prediction).sum(), (in_truth | in_prediction).sum()
        accuracy.append(both / in_truth.sum() if in_truth.any() else NAN)
        iou.append(both / either if either else NAN)
        shares.append(in_truth.sum() / len(true) if len(true) else NAN)
    known_iou = [value for value in iou if value == value]
    known_accuracy = [value for value in accuracy if value == value]
    weighted = [share * value for share, value in zip(shares, iou, strict=True) if value == value]
    return {
        "pixel_accuracy": (true == predicted).mean() if len(true) else NAN,
        "mean_accuracy": np.mean(known_accuracy) if known_accuracy else NAN,
        "mean_iou": np.mean(known_iou) if known_iou else NAN,
        "frequency_weighted_iou": np.sum(weighted) if len(true) else NAN,
        "accuracy": accuracy,
        "iou": iou,
    }
