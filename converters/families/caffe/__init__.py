"""Families whose files come from Caffe."""

from converters.families.caffe import berkeley_fcn, deeplab_vgg, deeplabv2, open_nsfw, pspnet, resnet, senet, vgg

__all__ = ["berkeley_fcn", "deeplab_vgg", "deeplabv2", "open_nsfw", "pspnet", "resnet", "senet", "vgg"]
