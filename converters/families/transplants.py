"""Warm starts: which networks may take part of another's weights, what is dropped, what keeps its initial values.

A transplant applies only if the source fills none of the variables that keep their values. So it cannot hide a tensor
that a file lacks.
"""

from typing import NamedTuple

from converters.families.trunks import HEAD


class Transplant(NamedTuple):
    """One warm start, by regular expressions of variable paths.

    Attributes:
        what: description for the receipt.
        drop: variables that the source would fill and the model lacks.
        leave: variables of the model that the source does not have.
    """

    what: str
    drop: str
    leave: str


_SCORES = r"(score_(fr|pool\d)\w*|scale_pool\d|upscore\w*)/.*"


def _layers(*names: str) -> str:
    """These layers of an FCN's head. In an FCN with several heads the head's name follows the layer's."""
    return rf"({'|'.join(names)})(_(?!pool)\w+)?/.*"


TRANSPLANTS = (
    # What pytorch-fcn calls copy_params_from_vgg16.
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
    # A classification ResNet that becomes a dilated segmenter.
    Transplant("a ResNet classifier into a segmenter", r"predictions/.*", HEAD),
    Transplant("a ResNet classifier into its features", r"predictions/.*", r"(?!)"),
    Transplant("a segmenter without its auxiliary head", r"aux_.*", r"(?!)"),
    # The factors of the at-once variant belong to scores that stay: they are not dropped.
    Transplant("a segmenter into its features", rf"(?!scale_){HEAD}", r"(?!)"),
)
