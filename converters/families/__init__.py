"""The families of checkpoints, in the documented order: where several fit a file, the first is taken."""

from converters.families.pytorch_fcn import FCN, VGG16_FROM_CAFFE
from converters.families.torchvision import RESNET, SEGMENTATION, VGG

FAMILIES = {family.name: family for family in (VGG, RESNET, SEGMENTATION, FCN, VGG16_FROM_CAFFE)}
