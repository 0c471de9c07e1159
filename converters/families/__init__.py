"""The families of checkpoints, in the documented order: where several fit a file, the first is taken."""

from converters.families import caffe, keras, pytorch, tensorflow

FAMILIES = {
    family.name: family
    for family in (
        pytorch.torchvision.VGG,
        pytorch.torchvision.RESNET,
        pytorch.torchvision.SEGMENTATION,
        pytorch.pytorch_fcn.FCN,
        pytorch.pytorch_fcn.VGG16_FROM_CAFFE,
        pytorch.timm.RESNET,
        pytorch.huggingface.RESNET,
        pytorch.semseg.PSPNET,
        pytorch.semseg.INITMODEL,
        pytorch.csail.PPM,
        pytorch.csail.C1,
        pytorch.deeplabv2.KAZUTO,
        pytorch.deeplabv2.KAZUTO_BASE,
        pytorch.deeplabv2.ISHT7,
        pytorch.drn.DRN,
        pytorch.drn.SEGMENTER,
        pytorch.smp.SMP,
        pytorch.mmseg.MMSEG,
        pytorch.encoding.FCN,
        caffe.vgg.VGG,
        caffe.berkeley_fcn.CONTEXT,
        caffe.berkeley_fcn.SIFTFLOW,
        caffe.berkeley_fcn.NYUD,
        caffe.berkeley_fcn.NYUD_DEPTH,
        caffe.berkeley_fcn.FCN,  # which has any number of classes: behind those that have one
        caffe.resnet.RESNET,
        caffe.deeplabv2.DEEPLABV2,
        caffe.pspnet.PSPNET,
        keras.applications.VGG,
        keras.applications.RESNET,
        keras.applications.OLD_RESNET,
        keras.applications.OLDEST_RESNET,
        tensorflow.kaffe.VGG,
        tensorflow.kaffe.RESNET,
        tensorflow.pspnet.PSPNET,
        tensorflow.pspnet.CLASSIFIER,
        caffe.senet.VGGFACE2,  # which has its number of people: before the family that has any number of classes
        caffe.senet.SENET,
        caffe.open_nsfw.OPEN_NSFW,
        caffe.deeplab_vgg.LARGEFOV,
        caffe.deeplab_vgg.ASPP,
        tensorflow.slim.RESNET,
        tensorflow.drsleep_deeplabv2.DEEPLABV2,
    )
}
