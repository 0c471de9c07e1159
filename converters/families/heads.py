"""Rows that the heads of several families share."""

from converters.names.tables import Row


def aspp(prefix: str, separable: bool = False) -> tuple[Row, ...]:
    """The atrous pyramid of torchvision and of segmentation_models.pytorch, as `tfseg.DeepLabV3` names its layers.

    Args:
        prefix: name of the pyramid's module.
        separable: whether its 3x3 convolutions are depthwise separable.
    """
    rows = [
        ("convs.4.1", "aspp_pool_conv", "conv"),
        ("convs.4.2", "aspp_pool_bn", "norm"),
        ("convs.{i}.0", "aspp_{i}_conv", "conv"),
        ("convs.{i}.1", "aspp_{i}_bn", "norm"),
        ("project.0", "aspp_project_conv", "conv"),
        ("project.1", "aspp_project_bn", "norm"),
    ]
    if separable:  # the 1x1 branch stays whole
        rows[2:3] = [("convs.0.0", "aspp_0_conv", "conv"), *separated("convs.{i}.0", "aspp_{i}")]
    return tuple((f"{prefix}.{source}", target, kind) for source, target, kind in rows)


def separated(source: str, target: str) -> tuple[Row, Row]:
    """The two rows of a depthwise separable convolution."""
    return (f"{source}.0", f"{target}_depthwise", "depthwise"), (f"{source}.1", f"{target}_conv", "conv")
