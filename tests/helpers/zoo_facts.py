"""What publishers say of their files: the data set, the number of classes, and the score that they report.

Each group was read from the page at its address. A row is the file's or the network's name there, the network here, the
data set, its classes, and the score; "-" where the page has none.
"""

import dataclasses
from collections.abc import Iterator

_TENSORFLOW = "https://github.com/tensorflow/models/blob/master/research"
_GITHUB = "https://github.com"


@dataclasses.dataclass(frozen=True)
class ZooFile:
    """A published file.

    Attributes:
        name: its name, or what its publisher calls the network.
        family: name of the family.
        network: name of the network.
        data_set: what it was trained for.
        num_classes: number of its classes; None where the page does not say.
        score: the score that the publisher reports, with its measure; empty: none.
        source: address of the page that says so.
        width: multiplier of the channel counts.
    """

    name: str
    family: str
    network: str
    data_set: str
    num_classes: int | None
    score: str
    source: str
    width: float = 1.0


# family, measure of the scores, address, rows
_GROUPS = (
    (
        "tensorflow/deeplab",
        "mIoU",
        f"{_TENSORFLOW}/deeplab/g3doc/model_zoo.md",
        """
        mobilenetv2_dm05_coco_voc_trainaug | deeplabv3_mobilenet_v2@0.5 | PASCAL VOC | 21 | 70.19 (val, stride 16)
        mobilenetv2_dm05_coco_voc_trainval | deeplabv3_mobilenet_v2@0.5 | PASCAL VOC | 21 | 71.83 (test, stride 8)
        mobilenetv2_coco_voc_trainaug | deeplabv3_mobilenet_v2 | PASCAL VOC | 21 | 75.32 (val, stride 16)
        mobilenetv2_coco_voc_trainval | deeplabv3_mobilenet_v2 | PASCAL VOC | 21 | 80.25 (test, 6 sizes, flipped)
        xception65_coco_voc_trainaug | deeplabv3plus_xception65 | PASCAL VOC | 21 | 82.20 (val, stride 16)
        xception65_coco_voc_trainval | deeplabv3plus_xception65 | PASCAL VOC | 21 | 87.80 (test, 6 sizes, flipped)
        mobilenetv2_coco_cityscapes_trainfine | deeplabv3_mobilenet_v2 | Cityscapes | 19 | 70.71 (val, stride 16)
        xception65_cityscapes_trainfine | deeplabv3plus_xception65 | Cityscapes | 19 | 78.79 (val, stride 16)
        mobilenetv2_ade20k_train | deeplabv3plus_mobilenet_v2 | ADE20K | 151 | 32.04 (val, stride 16)
        xception65_ade20k_train | deeplabv3plus_xception65 | ADE20K | 151 | 45.65 (val, 6 sizes, flipped)
        """,
    ),
    (
        "tensorflow/deeplab-backbones",
        "",
        f"{_TENSORFLOW}/deeplab/g3doc/model_zoo.md",
        """
        xception_41_imagenet | xception41 | ImageNet | - | -
        xception_65_imagenet | xception65 | ImageNet | - | -
        xception_71_imagenet | xception71 | ImageNet | - | -
        resnet_v1_50_beta_imagenet | resnet50 | ImageNet | - | -
        resnet_v1_101_beta_imagenet | resnet101 | ImageNet | - | -
        """,
    ),
    (
        "tensorflow/slim",
        "top-1",
        f"{_TENSORFLOW}/slim/README.md",
        """
        resnet_v1_50.ckpt | resnet50 | ImageNet | 1000 | 75.2
        resnet_v1_101.ckpt | resnet101 | ImageNet | 1000 | 76.4
        resnet_v1_152.ckpt | resnet152 | ImageNet | 1000 | 76.8
        """,
    ),
    (
        "tensorflow/slim-vgg",
        "top-1",
        f"{_TENSORFLOW}/slim/README.md",
        """
        vgg_16.ckpt | vgg16 | ImageNet | 1000 | 71.5
        vgg_19.ckpt | vgg19 | ImageNet | 1000 | 71.1
        """,
    ),
    (
        "DrSleep/tensorflow-deeplab-resnet",
        "mIoU",
        f"{_GITHUB}/DrSleep/tensorflow-deeplab-resnet",
        "deeplab_resnet.ckpt | deeplabv2_resnet101 | PASCAL VOC | 21 | 76.5 (val, one size)",
    ),
    (
        "bubbliiiing/deeplabv3-plus-keras",
        "mIoU",
        f"{_GITHUB}/bubbliiiing/deeplabv3-plus-keras",
        """
        deeplabv3_mobilenetv2.h5 | deeplabv3plus_mobilenet_v2 | PASCAL VOC | 21 | 72.50 (val)
        deeplabv3_xception.h5 | deeplabv3plus_xception65 | PASCAL VOC | 21 | 87.10 (val)
        """,
    ),
    (
        "bubbliiiing/pspnet-keras",
        "mIoU",
        f"{_GITHUB}/bubbliiiing/pspnet-keras",
        """
        pspnet_mobilenetv2.h5 | pspnet_mobilenet_v2 | PASCAL VOC | 21 | 71.04 (val)
        pspnet_resnet50.h5 | pspnet_resnet50 | PASCAL VOC | 21 | 79.92 (val)
        """,
    ),
    (
        "bubbliiiing/unet-keras",
        "mIoU",
        f"{_GITHUB}/bubbliiiing/unet-keras",
        """
        unet_vgg_voc.h5 | unet_vgg16 | PASCAL VOC | 21 | 45.48 (val)
        unet_resnet_voc.h5 | unet_resnet50 | PASCAL VOC | 21 | 64.12 (val)
        """,
    ),
    (
        "Vladkryvoruchko/PSPNet-Keras-tensorflow",
        "",
        f"{_GITHUB}/Vladkryvoruchko/PSPNet-Keras-tensorflow",
        """
        pspnet50_ade20k.h5 | pspnet_resnet50 | ADE20K | 150 | -
        pspnet101_cityscapes.h5 | pspnet_resnet101 | Cityscapes | 19 | -
        pspnet101_voc2012.h5 | pspnet_resnet101 | PASCAL VOC | 21 | -
        """,
    ),
    (
        "qubvel/classification_models",
        "top-1",
        f"{_GITHUB}/qubvel/classification_models",
        """
        resnet18 | preact_resnet18 | ImageNet | 1000 | 68.24
        resnet34 | preact_resnet34 | ImageNet | 1000 | 72.17
        resnet50 | preact_resnet50 | ImageNet | 1000 | 74.81
        resnet101 | preact_resnet101 | ImageNet | 1000 | 76.58
        resnet152 | preact_resnet152 | ImageNet | 1000 | 76.66
        """,
    ),
    (
        "hszhao/PSPNet",
        "mIoU",
        f"{_GITHUB}/hszhao/PSPNet",
        """
        pspnet50_ADE20K.caffemodel | pspnet_resnet50 | ADE20K | 150 | 41.68 (val)
        pspnet101_VOC2012.caffemodel | pspnet_resnet101 | PASCAL VOC | 21 | 85.41 (test, several sizes)
        pspnet101_cityscapes.caffemodel | pspnet_resnet101 | Cityscapes | 19 | 79.70 (val)
        """,
    ),
    (
        "shelhamer/fcn.berkeleyvision.org",
        "mIoU",
        f"{_GITHUB}/shelhamer/fcn.berkeleyvision.org",
        """
        voc-fcn32s | fcn32s | PASCAL VOC | 21 | 63.6 (seg11valid)
        voc-fcn16s | fcn16s | PASCAL VOC | 21 | 65.0 (seg11valid)
        voc-fcn8s | fcn8s | PASCAL VOC | 21 | 65.5 (seg11valid)
        voc-fcn8s-atonce | fcn8s_atonce | PASCAL VOC | 21 | 65.4 (seg11valid)
        """,
    ),
    (
        "KaimingHe/deep-residual-networks",
        "top-1 error",
        f"{_GITHUB}/KaimingHe/deep-residual-networks",
        """
        ResNet-50 | resnet50 | ImageNet | 1000 | 24.7
        ResNet-101 | resnet101 | ImageNet | 1000 | 23.6
        ResNet-152 | resnet152 | ImageNet | 1000 | 23.0
        """,
    ),
    (
        "hujie-frank/SENet",
        "top-1 error",
        f"{_GITHUB}/hujie-frank/SENet",
        """
        SE-ResNet-50 | seresnet50 | ImageNet | 1000 | 22.37
        SE-ResNet-101 | seresnet101 | ImageNet | 1000 | 21.75
        SE-ResNet-152 | seresnet152 | ImageNet | 1000 | 21.34
        SE-ResNeXt-50 | seresnext50_32x4d | ImageNet | 1000 | 20.97
        SE-ResNeXt-101 | seresnext101_32x4d | ImageNet | 1000 | 19.81
        """,
    ),
    (
        "wkentaro/pytorch-fcn",
        "mIoU",
        f"{_GITHUB}/wkentaro/pytorch-fcn",
        """
        fcn32s_from_caffe.pth | fcn32s | PASCAL VOC | 21 | 63.63 (seg11valid)
        fcn16s_from_caffe.pth | fcn16s | PASCAL VOC | 21 | 65.01 (seg11valid)
        fcn8s_from_caffe.pth | fcn8s | PASCAL VOC | 21 | 65.51 (seg11valid)
        fcn8s-atonce_from_caffe.pth | fcn8s_atonce | PASCAL VOC | 21 | 65.40 (seg11valid)
        """,
    ),
    (
        "hszhao/semseg",
        "mIoU",
        f"{_GITHUB}/hszhao/semseg",
        """
        PSPNet50, ADE20K | pspnet_resnet50 | ADE20K | 150 | 41.89 (val)
        PSPNet101, ADE20K | pspnet_resnet101 | ADE20K | 150 | 43.10 (val)
        PSPNet50, VOC | pspnet_resnet50 | PASCAL VOC | 21 | 77.05 (val)
        PSPNet101, VOC | pspnet_resnet101 | PASCAL VOC | 21 | 79.07 (val)
        PSPNet50, Cityscapes | pspnet_resnet50 | Cityscapes | 19 | 77.30 (val)
        PSPNet101, Cityscapes | pspnet_resnet101 | Cityscapes | 19 | 78.63 (val)
        """,
    ),
    (
        "csailvision/ppm",
        "mIoU",
        f"{_GITHUB}/CSAILVision/semantic-segmentation-pytorch",
        """
        ResNet18dilated + PPM_deepsup | pspnet_resnet18 | ADE20K | 150 | 38.00 (val)
        ResNet50dilated + PPM_deepsup | pspnet_resnet50 | ADE20K | 150 | 41.26 (val)
        ResNet101dilated + PPM_deepsup | pspnet_resnet101 | ADE20K | 150 | 42.19 (val)
        """,
    ),
    (
        "csailvision/c1",
        "mIoU",
        f"{_GITHUB}/CSAILVision/semantic-segmentation-pytorch",
        "ResNet18dilated + C1_deepsup | fcn_resnet18 | ADE20K | 150 | 33.82 (val)",
    ),
    (
        "csailvision/upernet",
        "mIoU",
        f"{_GITHUB}/CSAILVision/semantic-segmentation-pytorch",
        """
        UperNet50 | upernet_resnet50 | ADE20K | 150 | 40.44 (val)
        UperNet101 | upernet_resnet101 | ADE20K | 150 | 41.98 (val)
        """,
    ),
    (
        "fyu/drnseg",
        "mIoU",
        f"{_GITHUB}/fyu/drn",
        """
        DRN-D-22 | drnseg_drn_d_22 | Cityscapes | 19 | 68.0
        DRN-D-38 | drnseg_drn_d_38 | Cityscapes | 19 | 71.4
        DRN-D-105 | drnseg_drn_d_105 | Cityscapes | 19 | 75.6
        """,
    ),
    (
        "fyu/drn",
        "top-1 error",
        f"{_GITHUB}/fyu/drn",
        """
        drn_c_26 | drn_c_26 | ImageNet | 1000 | 24.9
        drn_c_42 | drn_c_42 | ImageNet | 1000 | 22.9
        drn_c_58 | drn_c_58 | ImageNet | 1000 | 21.7
        drn_d_22 | drn_d_22 | ImageNet | 1000 | 25.8
        drn_d_38 | drn_d_38 | ImageNet | 1000 | 23.8
        drn_d_54 | drn_d_54 | ImageNet | 1000 | 21.2
        drn_d_105 | drn_d_105 | ImageNet | 1000 | 20.6
        """,
    ),
    (
        "VainF/DeepLabV3Plus-Pytorch",
        "mIoU",
        f"{_GITHUB}/VainF/DeepLabV3Plus-Pytorch",
        """
        best_deeplabv3_mobilenet_voc_os16.pth | deeplabv3_mobilenet_v2 | PASCAL VOC | 21 | 70.1 (val)
        best_deeplabv3_resnet50_voc_os16.pth | deeplabv3_resnet50 | PASCAL VOC | 21 | 76.9 (val)
        best_deeplabv3_resnet101_voc_os16.pth | deeplabv3_resnet101 | PASCAL VOC | 21 | 77.3 (val)
        best_deeplabv3plus_mobilenet_voc_os16.pth | deeplabv3plus_mobilenet_v2 | PASCAL VOC | 21 | 71.1 (val)
        best_deeplabv3plus_resnet50_voc_os16.pth | deeplabv3plus_resnet50 | PASCAL VOC | 21 | 77.2 (val)
        best_deeplabv3plus_resnet101_voc_os16.pth | deeplabv3plus_resnet101 | PASCAL VOC | 21 | 78.3 (val)
        best_deeplabv3plus_mobilenet_cityscapes_os16.pth | deeplabv3plus_mobilenet_v2 | Cityscapes | 19 | 72.1 (val)
        best_deeplabv3plus_resnet101_cityscapes_os16.pth.tar | deeplabv3plus_resnet101 | Cityscapes | 19 | 76.2 (val)
        """,
    ),
    (
        "bubbliiiing/deeplabv3-plus-pytorch",
        "mIoU",
        f"{_GITHUB}/bubbliiiing/deeplabv3-plus-pytorch",
        "deeplab_mobilenetv2.pth | deeplabv3plus_mobilenet_v2 | PASCAL VOC | 21 | 72.59 (val)",
    ),
    (
        "yassouali/pytorch-segmentation/pspnet",
        "mIoU",
        f"{_GITHUB}/yassouali/pytorch-segmentation",
        "PSPnet.pth | pspnet_resnet50s | PASCAL VOC | 21 | 82 (val)",
    ),
    (
        "open-mmlab/mmsegmentation",
        "mIoU",
        f"{_GITHUB}/open-mmlab/mmsegmentation/tree/main/configs/pspnet",
        """
        pspnet_r50-d8_512x1024_80k_cityscapes | pspnet_resnet50c | Cityscapes | 19 | 78.55 (val)
        pspnet_r101-d8_512x1024_80k_cityscapes | pspnet_resnet101c | Cityscapes | 19 | 79.76 (val)
        pspnet_r50b-d8_512x1024_80k_cityscapes | pspnet_resnet50 | Cityscapes | 19 | 78.22 (val)
        pspnet_r101b-d8_512x1024_80k_cityscapes | pspnet_resnet101 | Cityscapes | 19 | 79.69 (val)
        """,
    ),
    (
        "open-mmlab/mmsegmentation/segformer",
        "mIoU",
        f"{_GITHUB}/open-mmlab/mmsegmentation/tree/main/configs/segformer",
        """
        segformer_mit-b0_512x512_160k_ade20k | segformer_mit_b0 | ADE20K | 150 | 37.41 (val)
        segformer_mit-b1_512x512_160k_ade20k | segformer_mit_b1 | ADE20K | 150 | 40.97 (val)
        segformer_mit-b2_512x512_160k_ade20k | segformer_mit_b2 | ADE20K | 150 | 45.58 (val)
        segformer_mit-b3_512x512_160k_ade20k | segformer_mit_b3 | ADE20K | 150 | 47.82 (val)
        segformer_mit-b4_512x512_160k_ade20k | segformer_mit_b4 | ADE20K | 150 | 48.46 (val)
        segformer_mit-b5_512x512_160k_ade20k | segformer_mit_b5 | ADE20K | 150 | 49.13 (val)
        segformer_mit-b0_8x1_1024x1024_160k_cityscapes | segformer_mit_b0 | Cityscapes | 19 | 76.54 (val)
        segformer_mit-b1_8x1_1024x1024_160k_cityscapes | segformer_mit_b1 | Cityscapes | 19 | 78.56 (val)
        segformer_mit-b2_8x1_1024x1024_160k_cityscapes | segformer_mit_b2 | Cityscapes | 19 | 81.08 (val)
        segformer_mit-b3_8x1_1024x1024_160k_cityscapes | segformer_mit_b3 | Cityscapes | 19 | 81.94 (val)
        segformer_mit-b4_8x1_1024x1024_160k_cityscapes | segformer_mit_b4 | Cityscapes | 19 | 81.89 (val)
        segformer_mit-b5_8x1_1024x1024_160k_cityscapes | segformer_mit_b5 | Cityscapes | 19 | 82.25 (val)
        """,
    ),
    (
        "cadene/senet",
        "top-1",
        f"{_GITHUB}/Cadene/pretrained-models.pytorch",
        """
        se_resnet50 | seresnet50 | ImageNet | 1000 | 77.636
        se_resnet101 | seresnet101 | ImageNet | 1000 | 78.396
        se_resnet152 | seresnet152 | ImageNet | 1000 | 78.658
        se_resnext50_32x4d | seresnext50_32x4d | ImageNet | 1000 | 79.076
        se_resnext101_32x4d | seresnext101_32x4d | ImageNet | 1000 | 80.236
        """,
    ),
)


def _files() -> Iterator[ZooFile]:
    for family, measure, source, rows in _GROUPS:
        for row in rows.strip().splitlines():
            name, network, data_set, classes, score = (cell.strip() for cell in row.split(" | "))
            network, _, width = network.partition("@")
            said = "" if score == "-" else f"{measure} {score}"
            number = None if classes == "-" else int(classes)
            yield ZooFile(name, family, network, data_set, number, said, source, float(width or 1))


FILES = tuple(_files())
