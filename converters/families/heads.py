"""Rows that the heads of several families share."""


def aspp(prefix, separable=False):
    """torchvision's atrous pyramid, and segmentation_models.pytorch's: the layers of `tfseg.DeepLabV3`'s."""
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


def separated(source, target):
    """A convolution taken apart."""
    return (f"{source}.0", f"{target}_depthwise", "depthwise"), (f"{source}.1", f"{target}_conv", "conv")
