"""Which networks may take over part of another's weights, what is dropped, and what keeps its initial values.

A transplant holds for a source that fills nothing of what is left, so it cannot hide a tensor missing from a file.
"""

from typing import NamedTuple

from converters.families.trunks import HEAD


class Transplant(NamedTuple):
    """Regular expressions over variable paths.

    Attributes:
        what: in words, for the receipt.
        drop: variables that the source would fill and the model lacks.
        leave: variables of the model that the source does not have.
    """

    what: str
    drop: str
    leave: str


_SCORES = r"(score_(fr|pool\d)\w*|scale_pool\d|upscore\w*)/.*"


def _layers(*names):
    """Those of an FCN's head; of all its heads, where it has several and the names go on with theirs."""
    return rf"({'|'.join(names)})(_(?!pool)\w+)?/.*"


TRANSPLANTS = (
    # The first document of this project: copy_params_from_vgg16.
    Transplant("a VGG16 classifier into an FCN", r"fc8/.*", _SCORES),
    Transplant("the convolutions of a VGG16 into an FCN", r"(?!)", rf"{_SCORES}|fc[67]/.*"),
    Transplant("a VGG with its classifier into its convolutions", r"fc[678]/.*", r"(?!)"),
    Transplant("the reduced VGG16 into DeepLab-LargeFOV", r"fc8/.*", r"fc8_score/.*"),
    Transplant("FCN-32s into FCN-16s", _layers("upscore"), _layers("score_pool4", "upscore2", "upscore16")),
    Transplant(
        "FCN-16s into FCN-8s",
        _layers("upscore16"),
        _layers("score_pool3", "scale_pool[34]", "upscore_pool4", "upscore8"),
    ),
    Transplant(
        "FCN-32s into FCN-8s",
        _layers("upscore"),
        _layers(r"s(core|cale)_pool[34]", "upscore2", "upscore_pool4", "upscore8"),
    ),
    # The second: a classification ResNet that becomes a dilated segmenter.
    Transplant("a ResNet classifier into a segmenter", r"predictions/.*", HEAD),
    Transplant("a ResNet classifier into its features", r"predictions/.*", r"(?!)"),
    Transplant("a segmenter without its auxiliary head", r"aux_.*", r"(?!)"),
    # Factors before scores that stay are no head to leave behind.
    Transplant("a segmenter into its features", rf"(?!scale_){HEAD}", r"(?!)"),
)
