"""The families of checkpoints, in the documented order: where several fit a file, the first is taken."""

from converters.families import (
    caffe,
    csail,
    deeplabv2,
    drn,
    encoding,
    huggingface,
    mmseg,
    semseg,
    smp,
    timm,
    torchvision,
)
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
        semseg.PSPNET,
        semseg.INITMODEL,
        csail.PPM,
        csail.C1,
        deeplabv2.KAZUTO,
        deeplabv2.KAZUTO_BASE,
        deeplabv2.ISHT7,
        drn.DRN,
        drn.SEGMENTER,
        smp.SMP,
        mmseg.MMSEG,
        encoding.FCN,
        caffe.VGG,
        caffe.FCN,
        caffe.RESNET,
        caffe.DEEPLABV2,
        caffe.PSPNET,
    )
}
