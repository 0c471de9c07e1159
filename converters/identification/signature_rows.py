"""Public networks that are not known here, by the names of their tensors, and the ways out: rows for `signatures`.

A form is a tensor's name with `#` for every number: `features.#.conv.#.#.weight`. A network is recognized if the file
has every form of its row. A form stands at the beginning of a name or after a dot or a slash, and more may follow. The
first row that is there counts, so that the special ones stand before the general ones.
"""

import types
from typing import NamedTuple

from converters.types import Shapes

# The ways out, each in one place: what exists for a network that is not known here.
READ = (
    "converters.read(path) gives its arrays by name: build the network in Keras and assign them, or convert a network "
    "that tfseg.list_models() has"
)
# Programs of other frameworks, from which the network is built.
GRAPH = (
    "convert builds its program: put the checkpoint's .meta file beside it, or give the frozen graph (.pb) or the "
    "SavedModel. converters.read(path) gives the arrays by name"
)
CAFFE = (
    "convert builds the network from its own layers, or from its prototxt: prototxt='deploy.prototxt' (--prototxt). "
    "converters.read(path) gives the arrays by name"
)
LIVE = (
    "Convolutional networks of any kind convert with their own torch code: name it, public='module:callable' "
    "(--public), which runs it; or load these weights into the module and pass it: converters.convert(module). Or give "
    "its ONNX export. converters.read(path) gives the arrays by name"
)
# For libraries whose folders say which module to build, after LIVE.
FOLDER = "The folder with its config.json opens, too, with that library installed; so does hf://owner/name"
KERAS = (
    "A network of Keras needs no conversion: build it in Keras and load these weights, model.load_weights(path). A "
    "whole model of Keras's own layers, model.save(path), converts as it is"
)
_WHOLE_KERAS = (
    "Load the weights into the model, in the version of the code that wrote them, and save the whole model: "
    "model.save('name.h5'). It converts from its own configuration, where its layers are Keras's own"
)
EQUIVALENT = "keras.applications.{name} is such a network, with weights of its own"
TRUNK = "Its ResNet alone can be converted: prefix={prefix!r} (--prefix={prefix})"
ADAPTER = "Merge the adapter into its base model (merge_and_unload in peft), save that model's weights and convert them"
FLOATS = (
    "Save the network's weights before it is prepared for quantization, as float32, and convert those; or convert the "
    "live module from before"
)
PLAIN = (
    "Convert the live module, whose program applies them: converters.convert(module). Or make the weights plain before "
    "saving: prune.remove, parametrize.remove_parametrizations, remove_weight_norm, remove_spectral_norm"
)
MODEL_WEIGHTS = "Give the file with the model's weights, which the trainer wrote beside it"


class Signature(NamedTuple):
    """A public network.

    Attributes:
        name: name of the network, and of those whose file it is.
        forms: forms that the file must have, separated by spaces.
        keras: name in `keras.applications` of a network like it; empty if there is none.
        way: sentence that says what to do.
        known: whether it converts where the rest of the network is known, too.
        shapes: shapes of tensors by name, where names alone do not tell.
    """

    name: str
    forms: str
    keras: str = ""
    way: str = LIVE
    known: bool = False
    shapes: Shapes = types.MappingProxyType({})


# Not a network's weights, or not as numbers that Keras computes with.
STATES = (
    Signature("a LoRA adapter, which only changes another model's weights", "lora_A", way=ADAPTER),
    Signature("a LoRA adapter, which only changes another model's weights", "lora_down", way=ADAPTER),
    Signature("a LoRA adapter, which only changes another model's weights", "lora_a", way=ADAPTER),
    Signature("a network quantized by torch.ao, or prepared for it", "zero_point", way=FLOATS),
    Signature("a network quantized by torch.ao", "_packed_params", way=FLOATS),
    Signature("a network prepared for quantization by torch.ao", "activation_post_process", way=FLOATS),
    Signature("a network with masks of torch.nn.utils.prune", "weight_orig weight_mask", way=PLAIN),
    Signature("a network with parametrized weights (torch.nn.utils.parametrize)", "parametrizations.", way=PLAIN),
    Signature("a network with spectral_norm", "weight_orig weight_u", way=PLAIN),
    Signature("the state of an optimizer, which holds no weights", "exp_avg exp_avg_sq", way=MODEL_WEIGHTS),
    Signature("the state of an optimizer, which holds no weights", "momentum_buffer", way=MODEL_WEIGHTS),
    Signature("a network quantized by bitsandbytes", "weight.absmax", way=FLOATS),
    Signature("a network quantized by bitsandbytes", "SCB", way=FLOATS),
    Signature("a network quantized by GPTQ or AWQ", "qweight qzeros", way=FLOATS),
)
# What stands after a backbone, or the whole of a network without a backbone of its own.
HEADS = (
    Signature(
        "Pytorch-UNet (milesial)",
        "inc.double_conv.# down#.maxpool_conv.# up#.conv.double_conv.# outc.conv",
        known=True,
    ),
    Signature("Unet++ of segmentation_models_pytorch", "decoder.blocks.x_#_#.conv#.# segmentation_head.#", known=True),
    Signature(
        "MAnet of segmentation_models_pytorch", "decoder.center.top_conv decoder.blocks.#.hl_conv.#.#", known=True
    ),
    Signature("Unet of segmentation_models_pytorch", "decoder.blocks.#.conv#.# segmentation_head.#", known=True),
    Signature("Linknet of segmentation_models_pytorch", "decoder.blocks.#.block.#.# segmentation_head.#", known=True),
    Signature(
        "FPN of segmentation_models_pytorch", "decoder.p# decoder.seg_blocks.#.block segmentation_head.#", known=True
    ),
    Signature("PAN of segmentation_models_pytorch", "decoder.fpa.branch# decoder.gau# segmentation_head.#", known=True),
    Signature(
        "UPerNet of segmentation_models_pytorch", "decoder.fpn_lateral_blocks.# decoder.fusion_block.#", known=True
    ),
    Signature(
        "Segformer of segmentation_models_pytorch", "decoder.mlp_stage.#.linear decoder.fuse_stage.#", known=True
    ),
    Signature("DPT of segmentation_models_pytorch", "decoder.projection_blocks.# decoder.reassemble_blocks.#"),
    Signature("DeepLabV3 of VainF", "classifier.classifier.#.convs.#.#"),
    Signature(
        "DeepLabV3+ of segmentation_models_pytorch",
        "decoder.aspp.#.convs.# decoder.block#.# segmentation_head.#",
        known=True,
    ),
    Signature(
        "DeepLabV3 of segmentation_models_pytorch", "decoder.aspp.convs.# decoder.conv segmentation_head.#", known=True
    ),
    Signature(
        "PSPNet of segmentation_models_pytorch",
        "decoder.psp.blocks.#.pool decoder.conv segmentation_head.#",
        known=True,
    ),
    Signature("SegFormer (transformers)", "segformer.stages.#.patch_embeddings.proj decode_head", known=True),
    Signature("SegFormer (transformers)", "segformer.encoder.patch_embeddings.#.proj decode_head.linear_c", known=True),
    Signature(
        "SegFormer (NVlabs)",
        "patch_embed#.proj block#.#.attn.q decode_head.linear_c#.proj decode_head.conv_seg",
        known=True,
    ),
    Signature("SegFormer of bubbliiiing", "patch_embed#.proj block#.#.attn.q decode_head.linear_c#.proj"),
    Signature(
        "SegFormer (mmsegmentation)",
        "backbone.layers.#.#.#.attn.attn.in_proj_weight decode_head.convs.#",
        known=True,
    ),
    Signature("UPerNet (transformers)", "decode_head.psp_modules.#.#.batch_norm decode_head.lateral_convs.#.conv"),
    Signature(
        "UPerNet (mmsegmentation)", "decode_head.psp_modules.#.#.conv decode_head.lateral_convs.#.conv", known=True
    ),
    Signature("OCRNet (mmsegmentation)", "decode_head.#.object_context_block decode_head.#.bottleneck"),
    Signature("DeepLabV3+ (mmsegmentation)", "decode_head.aspp_modules.# decode_head.c#_bottleneck.conv", known=True),
    Signature("CLIPSeg (transformers)", "clip.vision_model decoder.transposed_convolution"),
    Signature("OneFormer (transformers)", "pixel_level_module.decoder transformer_module.decoder task_encoder"),
    Signature("RT-DETR (transformers)", "encoder_input_proj.#.# decoder.class_embed.# backbone.model"),
    Signature("Mask2Former (transformers)", "pixel_level_module.decoder transformer_module.decoder"),
    Signature("Mask2Former (Facebook)", "sem_seg_head.pixel_decoder sem_seg_head.predictor.transformer"),
    Signature("DPT (transformers)", "neck.reassemble_stage.layers.# head.head.# dpt"),
    Signature("Depth Anything (transformers)", "neck.reassemble_stage.layers.# head.conv# backbone.embeddings"),
    Signature("Segment Anything 2 (transformers)", "vision_encoder.backbone.blocks.# mask_decoder"),
    Signature("Segment Anything (transformers)", "vision_encoder.layers.# mask_decoder prompt_encoder"),
    Signature("Segment Anything", "image_encoder.blocks.#.attn.qkv mask_decoder prompt_encoder"),
    Signature("DETR", "class_labels_classifier bbox_predictor model.encoder.layers.#"),
    Signature("DETR", "class_embed bbox_embed.layers.# transformer.encoder.layers.#"),
    Signature("LR-ASPP (torchvision)", "classifier.cbr.# classifier.low_classifier"),
    Signature("DeepLabV3 (torchvision)", "classifier.#.convs.#.#. classifier.#.project.#", known=True),
    Signature("Mask R-CNN (torchvision)", "roi_heads.mask_predictor rpn.head.conv"),
    Signature("Faster R-CNN (torchvision)", "roi_heads.box_predictor rpn.head.conv"),
    Signature("SSD (torchvision)", "head.classification_head.module_list.# head.regression_head.module_list.#"),
    Signature("RetinaNet or FCOS (torchvision)", "head.classification_head.conv head.regression_head.bbox_reg"),
    Signature("a detector of detectron2", "backbone.bottom_up.# roi_heads.box_predictor"),
    Signature("a detector of detectron2", "backbone.bottom_up.res# proposal_generator.rpn_head"),
    Signature("DeepLabV3+ of jfzhang95", "aspp.aspp#.atrous_conv aspp.global_avg_pool.# decoder.last_conv.#"),
    Signature("DeepLabV3+ of VainF", "classifier.project.# classifier.aspp.convs.#.# classifier.classifier.#"),
    Signature("DeepLabV3+ of bubbliiiing", "aspp.branch#.# aspp.branch#_conv shortcut_conv.# cls_conv"),
    Signature("DeepLabV3 of chenxi116", "aspp.aspp# aspp.aspp#_bn layer#.#.conv#"),
    Signature("DeepLabV3+ of yassouali", "ASSP.aspp#.# decoder."),
    Signature("PSPNet of bubbliiiing or yassouali", "master_branch.#.stages.#"),
    Signature("UPerNet of yassouali", "PPN.stages.# FPN."),
    Signature("U-Net of yassouali", "start_conv.# middle_conv.# up#."),
    Signature("U-Net of bubbliiiing", "up_concat#.conv#.weight up_concat#.conv#.bias final.weight"),
    Signature("FCN of meetps/pytorch-semseg", "conv_block#.# classifier.# score_pool#"),
    Signature("FCN of meetps/pytorch-semseg", "conv_block#.# classifier.#"),
    Signature("PSPNet of Lextal", "psp.stages.#.# up_#.conv.# final.#"),
    Signature("U-Net of meetps/pytorch-semseg", "up_concat#.conv.conv#.# center.conv#.#"),
    Signature("a network of meetps/pytorch-semseg", "cbr_unit.#"),
    Signature("U-Net of mateuszbuda", "encoder#.enc#conv# decoder#.dec#conv#"),
    Signature("U2-Net", "stage#.rebnconvin.conv_s# stage#d.rebnconvin.conv_s#"),
    Signature("ENet", "initial_block.main_branch downsample#_#.ext_conv#.#"),
    Signature("ERFNet", "encoder.initial_block.conv decoder.output_conv"),
    Signature("Fast-SCNN", "learning_to_downsample. global_feature_extractor."),
    Signature("SegNet", "conv#d.weight bn#d.weight conv#.weight"),
    Signature("SegNet", "stage#_encoder.# stage#_decoder.#"),
    Signature("BiSeNet", "cp.resnet ffm.convblk conv_out.conv_out"),
    Signature("BiSeNetV2", "detail.S# segment.S#_# bga.left#"),
)
BACKBONES = (
    Signature("CLIP with a ResNet (OpenAI)", "visual.attnpool.positional_embedding transformer.resblocks.#"),
    Signature("CLIP with a ViT (OpenAI)", "visual.class_embedding visual.transformer.resblocks.#"),
    Signature(
        "CLIP's ResNet, whose attention pooling stands in place of a classifier", "attnpool.positional_embedding"
    ),
    Signature("CLIP's ResNet (timm)", "stem.conv#.conv stages.#.#.conv#_#x#.conv head.attn"),
    Signature("CLIP's ResNet (timm)", "stem.conv#.conv stages.#.#.conv#_#x#.conv stages.#.#.conv#_kxk head.pos_embed"),
    Signature("CLIP (transformers)", "text_model.encoder.layers.# vision_model.pre_layrnorm"),
    Signature("CLIP's ViT (transformers)", "embeddings.class_embedding pre_layrnorm"),
    Signature("SigLIP (transformers)", "vision_model.embeddings.patch_embedding text_model.head"),
    Signature("MobileNetV3 (torchvision)", "backbone.features.#.#.block head.classification_head.module_list.#.#"),
    Signature("EfficientNet (torchvision)", "features.#.#.block.#.#. features.#.#.block.#.fc#"),
    Signature(
        "MobileNetV3 (torchvision)",
        "features.#.block.#.#. features.#.block.#.fc#",
        "MobileNetV3Large",
        known=True,
    ),
    Signature("MobileNetV3 (torchvision)", "#.block.#.#. #.block.#.fc#", "MobileNetV3Large", known=True),
    Signature(
        "MobileNetV2 (torchvision)",
        "features.#.# features.#.conv.#.#. features.#.conv.#.weight",
        "MobileNetV2",
        known=True,
    ),
    Signature("ConvNeXt (torchvision)", "features.#.#.layer_scale features.#.#.block.#", "ConvNeXtTiny"),
    Signature("ConvNeXtV2 (timm)", "stages.#.blocks.#.conv_dw stages.#.blocks.#.mlp.grn"),
    Signature("EdgeNeXt (timm)", "stages.#.blocks.#.gamma_xca stages.#.blocks.#.conv_dw"),
    Signature("ConvNeXt (timm)", "stages.#.blocks.#.gamma stages.#.blocks.#.conv_dw", "ConvNeXtTiny"),
    Signature("ConvNeXt (Facebook)", "downsample_layers.#.# stages.#.#.dwconv", "ConvNeXtTiny"),
    Signature("ConvNeXtV2 (transformers)", "encoder.stages.#.layers.#.dwconv encoder.stages.#.layers.#.grn"),
    Signature("ConvNeXt (transformers)", "encoder.stages.#.layers.#.dwconv", "ConvNeXtTiny"),
    Signature("Swin V2 (torchvision)", "features.#.#.attn.cpb_mlp.# features.#.reduction"),
    Signature("Swin (torchvision)", "features.#.#.attn.relative_position_bias_table features.#.reduction"),
    Signature("Swin V2", "layers.#.blocks.#.attn.cpb_mlp.# layers.#.blocks.#.attn.logit_scale"),
    Signature("Swin", "layers.#.blocks.#.attn.relative_position_bias_table layers.#.downsample.reduction"),
    Signature("Swin (mmsegmentation)", "stages.#.blocks.#.attn.w_msa.relative_position_bias_table"),
    Signature("Swin V2 (transformers)", "encoder.layers.#.blocks.#.attention.self.continuous_position_bias_mlp"),
    Signature("Swin (transformers)", "encoder.layers.#.blocks.#.attention embeddings.patch_embeddings.projection"),
    Signature("MaxViT (torchvision)", "blocks.#.layers.#.layers.MBconv blocks.#.layers.#.layers.window_attention"),
    Signature(
        "MaxViT or CoAtNet (timm)", "stages.#.blocks.#.pre_norm stages.#.blocks.#.conv#_kxk stages.#.blocks.#.attn.qkv"
    ),
    Signature("MaxViT or CoAtNet (timm)", "stages.#.blocks.#.attn_block.attn.qkv stages.#.blocks.#.conv"),
    Signature("ViT (torchvision)", "class_token conv_proj encoder.layers.encoder_layer_#.self_attention"),
    Signature("DINOv2 (transformers)", "embeddings.mask_token encoder.layer.#.layer_scale#.lambda#"),
    Signature("DINOv2 or DeiT III", "cls_token patch_embed.proj blocks.#.attn.qkv blocks.#.ls#.gamma"),
    Signature("BEiT", "cls_token patch_embed.proj blocks.#.gamma_# blocks.#.attn.relative_position_bias_table"),
    Signature("CaiT (timm)", "cls_token patch_embed.proj blocks.#.attn.proj_l blocks_token_only.#"),
    Signature("ViT (timm)", "cls_token pos_embed patch_embed.proj blocks.#.attn.qkv blocks.#.mlp.fc#"),
    Signature("ViT (mmpretrain)", "cls_token pos_embed patch_embed.projection layers.#.attn.qkv"),
    Signature("BEiT (transformers)", "embeddings.cls_token encoder.layer.#.lambda_#"),
    Signature("YOLOS (transformers)", "embeddings.detection_tokens embeddings.cls_token"),
    Signature("ViT (transformers)", "embeddings.cls_token embeddings.patch_embeddings.projection layernorm"),
    Signature(
        "Mix Transformer, SegFormer's encoder (transformers)",
        "stages.#.patch_embeddings.proj stages.#.blocks.#",
        known=True,
    ),
    Signature(
        "Mix Transformer, SegFormer's encoder (transformers)",
        "encoder.patch_embeddings.#.proj encoder.block.#.#",
        known=True,
    ),
    Signature(
        "Mix Transformer, SegFormer's encoder",
        "patch_embed#.proj block#.#.attn.q block#.#.mlp.dwconv.dwconv",
        known=True,
    ),
    Signature("PVT (timm)", "patch_embed.proj stages.#.blocks.#.attn.kv stages.#.blocks.#.attn.q"),
    Signature("YOLOv5 or YOLOv8 (Ultralytics)", "model.#.conv model.#.cv#.conv model.#.m.#.cv#.conv"),
    Signature("YOLOv5 or YOLOv8 (Ultralytics)", "#.conv.weight #.cv#.conv.weight #.m.#.cv#.conv.weight"),
    Signature("YOLOv8 (Ultralytics)", "model.#.conv model.#.cv#.#.#.conv model.#.dfl.conv"),
    Signature("HRNet", "stage#.#.branches.#.#.conv# stage#.#.fuse_layers.#.#.# transition#.#.#", known=True),
    Signature("DenseNet", "features.denseblock#.denselayer#.norm# features.transition#.conv", known=True),
    Signature("SqueezeNet (torchvision)", "features.#.squeeze features.#.expand#x#"),
    Signature("MNASNet (torchvision)", "layers.#.weight layers.#.#.layers.#"),
    Signature("ShuffleNetV2 (torchvision)", "stage#.#.branch#.# conv#.#.weight"),
    Signature("RegNet (torchvision)", "trunk_output.block#.block#-#.f.a"),
    Signature("RegNet (timm)", "stem.conv s#.b#.conv#.conv"),
    Signature("RegNet (transformers)", "encoder.stages.#.layers.#.layer.#.attention.#"),
    Signature("GoogLeNet (torchvision)", "inception#a.branch#.conv inception#e.branch#.conv"),
    Signature("Inception-ResNet v2 (timm)", "conv#d_#a.conv mixed_#b.branch# repeat.#.branch#", "InceptionResNetV2"),
    Signature("Inception v3", "Conv#d_#a_#x#.conv Mixed_#b.branch#x#.conv", "InceptionV3"),
    Signature("Inception v4 (timm)", "features.#.conv.conv features.#.branch#_#a.conv"),
    Signature("MobileNetV4 (timm)", "conv_stem blocks.#.#.dw_start.conv blocks.#.#.pw_proj"),
    Signature("GhostNet (timm)", "conv_stem blocks.#.#.ghost#.primary_conv"),
    Signature(
        "EfficientNet (lukemelas)", "_conv_stem _blocks.#._depthwise_conv _blocks.#._se_reduce", "EfficientNetB0"
    ),
    Signature("EfficientNet or MobileNetV3 (timm)", "conv_stem blocks.#.#.conv_dw blocks.#.#.se.conv_reduce"),
    Signature(
        "a deep MobileNetV2, or MNASNet (timm)", "conv_stem blocks.#.#.conv_dw blocks.#.#.conv_pwl", "MobileNetV2"
    ),
    Signature("EfficientNet (transformers)", "encoder.blocks.#.depthwise_conv.depthwise_conv", "EfficientNetB0"),
    Signature("MobileNetV2 (transformers)", "conv_stem.first_conv.convolution layer.#.expand_#x#", "MobileNetV2"),
    Signature("MobileNetV1 (transformers)", "conv_stem.convolution layer.#.convolution", "MobileNet"),
    Signature("MobileViT (transformers)", "conv_stem.convolution encoder.layer.#.layer.#.expand_#x#"),
    Signature("MobileViT (timm)", "stages.#.#.conv#_kxk.conv stages.#.#.transformer.#"),
    Signature("ResNeSt", "layer#.#.conv#.fc# layer#.#.conv#.conv", known=True),
    Signature("SKNet (timm)", "layer#.#.conv#.paths.#.conv layer#.#.conv#.attn"),
    Signature("ECA-ResNet (timm)", "layer#.#.se.conv layer#.#.conv#"),
    Signature("Res2Net", "layer#.#.convs.# layer#.#.bns.#"),
    Signature("SE-ResNet (Cadene)", "layer#.conv#.weight layer#.#.se_module.fc#", known=True),
    Signature("SE-ResNet or SENet with a deep stem (Cadene)", "layer#.#.se_module.fc#"),
    Signature("SE-ResNet (timm)", "layer#.#.se.fc# layer#.#.conv#", known=True),
    Signature("ResNetV2 or BiT (timm)", "stem.conv.weight stages.#.blocks.#.norm# stages.#.blocks.#.conv#", known=True),
    Signature("BiT (transformers)", "embedder.convolution encoder.stages.#.layers.#.norm#"),
    Signature("BiT (Google)", "block#/unit#/a/standardized_conv#d/kernel", way=READ),
    Signature("LeViT (timm)", "stages.#.blocks.#.attn.attention_biases stages.#.blocks.#.attn.qkv.linear"),
    Signature("TinyViT (timm)", "stages.#.blocks.#.attn.attention_biases stages.#.blocks.#.local_conv.conv"),
    Signature("EfficientFormer (timm)", "stages.#.blocks.#.token_mixer.attention_biases stages.#.downsample.conv"),
    Signature("FastViT (timm)", "stages.#.blocks.#.token_mixer.mixer.conv_kxk stem.#.conv_kxk"),
    Signature("RepViT (timm)", "stages.#.blocks.#.token_mixer.conv.c stages.#.blocks.#.channel_mixer.conv#.c"),
    Signature("EfficientViT (timm)", "stem.in_conv.conv stages.#.blocks.#.main.depth_conv.conv"),
    Signature("PoolFormer (timm)", "stem.conv stages.#.blocks.#.layer_scale#.scale stages.#.blocks.#.mlp.fc#"),
    Signature("InceptionNeXt (timm)", "stages.#.blocks.#.token_mixer.dwconv_hw"),
    Signature("TResNet (timm)", "body.conv#.conv body.layer#.#.conv#.conv"),
    Signature("MobileOne (timm)", "stages.#.#.conv_kxk.#.conv stages.#.#.conv_scale.conv"),
    Signature("a ResNet with attention (timm)", "stages.#.#.conv#_#x#.conv stages.#.#.self_attn"),
    Signature("GENet or another ResNet of timm's byobnet", "stages.#.#.conv#_#x#.conv stages.#.#.shortcut.conv"),
    Signature("ReXNet (timm)", "stem.conv features.#.conv_dw.conv features.#.conv_pwl.conv"),
    Signature("SelecSLS (timm)", "stem.# features.#.conv#.# head.#.#"),
    Signature("StarNet (timm)", "stages.#.#.dwconv.conv stages.#.#.f#.conv stages.#.#.g.conv"),
    Signature("MLP-Mixer (timm)", "stem.proj blocks.#.mlp_tokens.fc# blocks.#.mlp_channels.fc#"),
    Signature("RepVGG (timm)", "stages.#.#.conv_kxk.conv stages.#.#.conv_#x#.conv"),
    Signature("MobileOne", "stage#.#.rbr_conv.#.conv"),
    Signature("Xception (Cadene, timm)", "block#.rep.#.conv# block#.rep.#.pointwise", "Xception"),
    Signature("aligned Xception (timm)", "stem.#.conv blocks.#.stack.conv#.conv_dw", "Xception", known=True),
    Signature("aligned Xception (PyTorch)", "entry_flow.# middle_flow.#"),
    Signature(
        "a network of divamgupta's image-segmentation-keras on VGG, whose tensors do not tell all of its decoder (the "
        "U-Net's activation before March 2021, PSPNet's poolings)",
        "block#_conv#/kernel conv#d_#/kernel batch_normalization_#/gamma",
        way=_WHOLE_KERAS,
    ),
    Signature(
        "a network of divamgupta's image-segmentation-keras or of bubbliiiing's on ResNet-50 for Keras",
        "res#a_branch#a/kernel conv#d_#/kernel batch_normalization_#/gamma",
        way=_WHOLE_KERAS,
    ),
    Signature(
        "an FCN of divamgupta's image-segmentation-keras on VGG",
        "block#_conv#/kernel conv#d_transpose_#/kernel",
        way=_WHOLE_KERAS,
    ),
    Signature("DeepLab on MobileNetV3 of TensorFlow", "MobilenetV#/expanded_conv_#/squeeze_excite/", way=GRAPH),
    Signature("a network of TensorFlow's DeepLab on Xception", "xception_#/entry_flow/block#", way=GRAPH),
    Signature(
        "a MobileNet of TensorFlow", "MobilenetV#/expanded_conv_#/depthwise/depthwise_weights", "MobileNetV2", GRAPH
    ),
    Signature(
        "MobileNetV2 of keras.applications", "block_#_depthwise/ block_#_project/ bn_Conv#/", "MobileNetV2", KERAS
    ),
    Signature(
        "MobileNetV3 of keras.applications",
        "expanded_conv_#_depthwise/ expanded_conv_#_project/",
        "MobileNetV3Large",
        KERAS,
    ),
    Signature("EfficientNet of keras.applications", "block#a_dwconv/ block#a_project_conv/", "EfficientNetB0", KERAS),
    Signature(
        "EfficientNetV2 of keras.applications", "block#b_project_conv/ block#b_expand_conv/", "EfficientNetV2B0", KERAS
    ),
    Signature("DenseNet of keras.applications", "conv#_block#_#_bn/ pool#_conv/", "DenseNet121", KERAS),
    Signature("Xception of keras.applications", "block#_sepconv#/ block#_sepconv#_bn/", "Xception", KERAS),
    Signature(
        "a network of qubvel's for Keras on an SE-ResNet, a ResNeXt or with other layers",
        "bn_data/ stage#_unit#_bn#/ conv#d_#/",
        way=KERAS,
    ),
    Signature("ResNetV2 of keras.applications", "conv#_block#_preact_bn/", "ResNet50V2", KERAS),
    Signature(
        "a network of TensorFlow's DeepLab on ResNet",
        "resnet_v#_#/conv#_#/weights resnet_v#_#/block# logits/semantic",
        way=GRAPH,
    ),
    Signature(
        "ResNet v2 of TensorFlow",
        "resnet_v#_#/postnorm resnet_v#_#/block#/unit_#/bottleneck_v#/preact",
        "ResNet50V2",
        GRAPH,
    ),
    Signature("a ResNet of detectron2", "stem.conv#.weight res#.#.conv#.weight res#.#.conv#.norm"),
    Signature("a ResNet of Caffe2 (Detectron)", "conv#_w res#_#_branch#a_w", way=READ),
    Signature("a ResNet of Paddle", "conv#._conv.weight", way=READ),
    Signature("DLA (timm)", "base_layer.# level#.tree#.conv#"),
    Signature("VoVNet (timm)", "stages.#.blocks.#.conv_mid.# stages.#.blocks.#.conv_concat"),
    Signature("Darknet or CSPNet (timm)", "stem.conv#.conv stages.#.conv_down.conv stages.#.blocks.#.conv#.conv"),
    Signature("DPN", "features.conv#_#.c#x#_a.conv"),
    Signature("NFNet (timm)", "stem.conv#.gain stages.#.#.conv#.gain"),
    Signature("BERT (transformers)", "embeddings.word_embeddings encoder.layer.#.attention.self.query", way=READ),
    Signature("GPT-2 (transformers)", "wte wpe h.#.attn.c_attn", way=READ),
    Signature("a language model", "embed_tokens layers.#.self_attn.q_proj", way=READ),
    Signature("an encoder of timm", "encoder.model.", known=True),
    Signature("a network with weight_norm", "weight_g weight_v", way=PLAIN),
    Signature("AlexNet (torchvision)", "features.# classifier.#", shapes={"features.0.weight": (64, 3, 11, 11)}),
    Signature("a video ResNet (torchvision)", "layer#.#.conv#.# stem.#"),
)
