"""The families of checkpoints, in the documented order: where several fit a file, the first is taken."""

from converters.families import huggingface, timm, torchvision
from converters.families.pytorch_fcn import FCN, VGG16_FROM_CAFFE

FAMILIES = {
    family.name: family
    for family in (
        torchvision.VGG,
        torchvision.RESNET,
        torchvision.SEGMENTATION,
        FCN,
        VGG16_FROM_CAFFE,
        timm.RESNET,
        huggingface.RESNET,
    )
}
