"""The survey: 150 public files that people have, which were tried when 26 of them opened. Which file of the census is each?

A line is "package/name" of the file of `helpers.public_files` that answers the row of that number. Two rows of the
survey may be one file: Cadene's and timm's legacy SE-ResNet-50 have the same tensors. Where a row is about a wrapping,
the census wraps a ResNet-18.
"""

SURVEY: tuple[str, ...] = tuple(
    f"{package}/{name}"
    for package, names in (
        ("torchvision", "resnet18, resnet50, resnext50_32x4d, wide_resnet50_2, vgg11_bn, alexnet, squeezenet1_1"),
        ("torchvision", "densenet121, mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large, efficientnet_b0"),
        ("torchvision", "efficientnet_v2_s, regnet_y_400mf, shufflenet_v2_x1_0, mnasnet1_0, googlenet, inception_v3"),
        ("torchvision", "convnext_tiny, swin_t, vit_b_32"),
        ("torchvision.segmentation", "fcn_resnet50, deeplabv3_resnet50, deeplabv3_mobilenet_v3_large"),
        ("torchvision.segmentation", "lraspp_mobilenet_v3_large"),
        ("people's ResNet-18", "Places365"),
        ("people's ResNet-50", "Places365"),
        ("ResNet-18 in", "SwAV, MoCo v2, MoCo v3, DINO's backbone, DINO, DenseCL's extracted backbone"),
        ("mmpretrain", "resnet50"),
        ("ResNet-18 in", "DenseCL, SimSiam, VISSL, lightly, fastai, children, robustness"),
        ("ResNet-18 in", "net., backbone., encoder., two levels, resnet., knowledge distillation, Lightning"),
        ("people's ResNet-18", "model and model_ema, torch.save of the module, TorchScript, torch.export"),
        ("timm", "legacy_seresnet50"),
        ("detectron2", "R-50.pkl"),
        ("Detectron", "MSRA/R-50.pkl"),
        ("VainF", "deeplabv3_resnet50 os16, deeplabv3plus_resnet50 os16, deeplabv3plus_resnet50 os8"),
        ("VainF", "deeplabv3plus_mobilenet os16"),
        ("jfzhang95", "deeplab-resnet, deeplab-mobilenet"),
        ("milesial", "unet bilinear=False, unet bilinear=True"),
        ("bubbliiiing", "deeplab-mobilenet, deeplab-xception, unet-vgg, unet-resnet50, pspnet-resnet50"),
        ("chenxi116", "deeplabv3 resnet101"),
        ("ResNet-18 in", "AveragedModel"),
        ("people's ResNet-18", "skip=n_averaged, skip=prototypes, skip=encoder_k and queue, arrays by name, skip=head"),
        ("people's ResNet-18", "Lightning with backbone. without classes, Lightning with encoder. without classes"),
        ("people's ResNet-18", "skip=criterion, one channel and four classes, a dropout before the classes"),
        ("people's VGG16-BN", "features alone"),
        ("torchvision", "resnet18 in float16"),
        ("OpenAI", "RN50, RN50 without visual."),
        ("google-research", "BiT-M-R50x1.npz"),
        ("tensorflow", "frozen_inference_graph.pb"),
        ("keras.applications", "MobileNetV2 .keras, MobileNetV2 .weights.h5"),
        ("others", "SavedModel, tflite, MatConvNet .mat, Paddle .pdparams"),
        ("tensorflow", "deeplab_xception65, deeplab_mnv2, resnet_v1_50_beta, resnet_v2_50, vgg_16"),
        ("smp", "DeepLabV3Plus-resnet18 in Lightning, DeepLabV3Plus-resnet18 with a loss"),
        ("smp", "DeepLabV3Plus-resnet18 model.safetensors, DeepLabV3Plus-resnet18 save_pretrained"),
        ("smp", "PSPNet-resnet18 classification_head, Unet-resnet18, UnetPlusPlus-resnet18, FPN-resnet18"),
        ("smp", "PAN-resnet18, Linknet-resnet18, MAnet-resnet18, PSPNet-resnet18, DeepLabV3-resnet18"),
        ("smp", "DeepLabV3Plus-resnet18, UPerNet-resnet18, Segformer-resnet18, DeepLabV3Plus-resnet50"),
        ("smp", "DeepLabV3Plus-resnext50_32x4d, DeepLabV3Plus-mobilenet_v2, DeepLabV3Plus-efficientnet-b0"),
        ("smp", "DeepLabV3Plus-timm-efficientnet-b0, DeepLabV3Plus-se_resnet50, DeepLabV3Plus-se_resnext50_32x4d"),
        ("smp", "DeepLabV3Plus-timm-resnest50d, DeepLabV3Plus-mit_b0, DeepLabV3Plus-tu-resnet50"),
        ("smp", "DeepLabV3Plus-tu-resnet50d, DeepLabV3Plus-timm-regnetx_002, DeepLabV3Plus-resnext101_32x8d"),
        ("jfzhang95", "deeplab-drn, deeplab-xception"),
        ("yassouali", "PSPNet, DeepLab, unet"),
        ("meetps", "fcn8s, pspnet, segnet, unet"),
        ("Lextal", "pspnet_resnet50"),
        ("hszhao", "pspnet50"),
        ("timm", "resnetaa50, resnetblur18, resnet26"),
        ("transformers", "segformer"),
        ("timm", "resnext50d_32x4d, resnet50_clip, resnetv2_50, res2net50_26w_4s, legacy_seresnet50"),
        ("bonlime", "mobilenetv2 .h5"),
        ("image-classifiers", "resnet18 .h5"),
        ("segmentation_models", "PSPNet-resnet50 .h5, Unet-resnet34 .h5"),
    )
    for name in names.split(", ")
)
"""Package and name of the file that answers each row, the first row first."""


def rows_of(package: str, name: str) -> tuple[int, ...]:
    """Numbers of the survey's rows that a file of the census answers, from 1.

    Args:
        package: who publishes such files.
        name: what people call it.
    """
    return tuple(number for number, label in enumerate(SURVEY, 1) if label == f"{package}/{name}")
