"""The tensors of known networks under the names that other projects give them."""

import re

import torch

_BLOB_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}


def detectron2_names(state):
    """What `R-50.pkl` of detectron2 holds: its own names, arrays of NumPy."""
    places = {"layer1": "res2", "layer2": "res3", "layer3": "res4", "layer4": "res5"}
    result = {}
    for key, value in state.items():
        if "num_batches" in key:
            continue
        first, *rest = key.split(".")
        text = ".".join([places.get(first, f"stem.{first}"), *rest])
        for number in "123":
            text = text.replace(f"bn{number}.", f"conv{number}.norm.")
        result[text.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")] = value.numpy()
    return {"model": result, "__author__": "torchvision", "matching_heuristics": True}


def msra_blobs(module, folded):
    """The tensors under the names of the published files, with the biases that nothing reads."""
    result = {}
    for key, value in module.state_dict().items():
        *owners, layer, part = key.split(".")
        if part == "num_batches_tracked":
            continue
        place = f"res{int(owners[0][-1]) + 1}_{owners[1]}_" if owners else ""
        if layer == "fc":
            result[f"fc1000_{part[0]}"] = value.numpy()
            continue
        letter = layer[-1]
        if owners[2:]:  # the projection
            name, is_norm = f"{place}branch1", letter == "1"
        else:
            name, is_norm = f"{place}branch2{'abc'[int(letter) - 1]}" if owners else "conv1", layer.startswith("bn")
        if not is_norm:
            result[f"{name}_w"] = value.numpy()
            result[f"{name}_b"] = 0 * value[:, 0, 0, 0].numpy()
            continue
        owner = f"{name}_bn" if owners else "res_conv1_bn"
        ending = {"weight": "s", "bias": "b"}.get(part) if folded else _BLOB_PARTS[part]
        if ending:
            result[f"{owner}_{ending}"] = value.numpy()
    return result


def openai_names(state):
    """The tensors of timm's ResNet of CLIP under the names of OpenAI, with what stands beside them in CLIP."""
    result = {}
    for key, value in state.items():
        text = re.sub(r"^stem\.conv(\d)\.conv\.", r"conv\1.", key)
        text = re.sub(r"^stem\.conv(\d)\.bn\.", r"bn\1.", text)
        text = re.sub(r"^stages\.(\d)\.", lambda match: f"layer{int(match[1]) + 1}.", text)
        text = text.replace("shortcut.conv.conv", "downsample.0").replace("shortcut.conv.bn", "downsample.1")
        text = re.sub(r"conv(\d)_(?:1x1|kxk)\.conv", r"conv\1", text)
        text = re.sub(r"conv(\d)_(?:1x1|kxk)\.bn", r"bn\1", text)
        if not key.startswith("head."):
            result[f"visual.{text}"] = value
    beside = {"visual.attnpool.positional_embedding": (50, 2048), "visual.attnpool.q_proj.weight": (2048, 2048)}
    beside |= {"token_embedding.weight": (100, 512), "transformer.resblocks.0.ln_1.weight": (512,), "logit_scale": ()}
    return result | {key: torch.ones(shape) for key, shape in beside.items()}


def mmpretrain_names(state):
    return {f"head.{key}" if key.startswith("fc.") else f"backbone.{key}": value for key, value in state.items()}


def of_meetps(key):
    for pattern, name in (
        (r"layer0\.([03])\.", lambda m: f"convbnrelu1_{int(m[1]) // 3 + 1}.cbr_unit.0."),
        (r"layer0\.([14])\.", lambda m: f"convbnrelu1_{int(m[1]) // 3 + 1}.cbr_unit.1."),
        (r"layer0\.([67])\.", lambda m: f"convbnrelu1_3.cbr_unit.{int(m[1]) - 6}."),
        (r"layer(\d)\.(\d+)\.", lambda m: f"res_block{int(m[1]) + 1}.layers.{m[2]}."),
        (r"\.conv([12])\.", r".cbr\1.cbr_unit.0."),
        (r"\.bn([12])\.", r".cbr\1.cbr_unit.1."),
        (r"\.conv3\.", ".cb3.cb_unit.0."),
        (r"\.bn3\.", ".cb3.cb_unit.1."),
        (r"downsample\.(\d)\.", r"cb4.cb_unit.\1."),
        (
            r"ppm\.features\.(\d)\.(\d)\.",
            lambda m: f"pyramid_pooling.path_module_list.{3 - int(m[1])}.cbr_unit.{int(m[2]) - 1}.",
        ),
        (r"^cls\.([01])\.", r"cbr_final.cbr_unit.\1."),
        (r"^aux\.([01])\.", r"convbnrelu4_aux.cbr_unit.\1."),
        (r"^cls\.4\.", "classification."),
        (r"^aux\.4\.", "aux_cls."),
    ):
        key = re.sub(pattern, name, key)
    return key


def of_yassouali(key):
    for pattern, name in (
        (r"layer0\.7\.", "initial.1."),
        (r"layer0\.", "initial.0."),
        (r"ppm\.features\.", "master_branch.0.stages."),
        (r"^cls\.([01])\.", r"master_branch.0.bottleneck.\1."),
        (r"^cls\.4\.", "master_branch.1."),
        (r"^aux\.", "auxiliary_branch."),
    ):
        key = re.sub(pattern, name, key)
    return key


def google_names(state):
    """The tensors of timm's ResNet of Big Transfer as Google's `.npz` has them."""
    result = {}
    for key, value in state.items():
        text = key.replace("stem.conv.", "root_block.conv0.").replace("head.fc.", "head.conv2d.")
        text = re.sub(r"stages\.(\d+)\.blocks\.(\d+)\.", _google_unit, text)
        text = text.replace("downsample.conv.", "a.proj.conv0.")
        text = re.sub(r"(conv|norm)([123])\.", lambda match: f"{'abc'[int(match[2]) - 1]}.{match[1]}0.", text)
        text = text.replace("norm0.", "norm.").replace("conv0.", "standardized_conv2d.")
        text = re.sub(r"norm\.weight$", "group_norm.gamma", text)
        text = re.sub(r"norm\.bias$", "group_norm.beta", text).replace("weight", "kernel")
        array = value.numpy()
        result["resnet/" + text.replace(".", "/")] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return result


def _google_unit(match):
    return f"block{int(match[1]) + 1}.unit{int(match[2]) + 1:02d}."
