"""CLIP of OpenAI and open_clip: the ResNet of its visual side, without the attention that pools it.

Source of the facts: https://github.com/openai/CLIP: clip/model.py, and https://github.com/mlfoundations/open_clip:
src/open_clip/modified_resnet.py.
"""

from converters.families.family import Family
from converters.families.trunks import network, trunk
from tfseg import specs

_TEXT = "text transformer token_embedding positional_embedding ln_final text_projection logit_scale logit_bias"
_SIZES = "input_resolution context_length vocab_size"
_OTHERS = (
    (r"(visual\.)?attnpool\..*", "an attention that pools the map to one embedding: the map itself is the result"),
    (rf"({'|'.join(_TEXT.split())})(\..*)?", "the side of CLIP that reads text"),
    ("|".join(_SIZES.split()), "a number that CLIP's code keeps"),
)

RESNET = Family(
    name="openai/CLIP",
    covers="the visual ResNet-50 and -101 (RN50, RN101): the map before the attention pooling",
    files="https://github.com/mlfoundations/open_clip/blob/main/docs/openclip_results.csv",
    proof="timm, 1.0e-6",
    source="https://github.com/openai/CLIP/blob/main/clip/model.py",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream", "safetensors"),
    preprocessing="clip",
    networks=tuple(
        network(
            name,
            specs.RESNETS[name],
            (*trunk(specs.RESNETS[name], prefix, "numbered"), (f"{prefix}classifier", "predictions", "dense")),
            _OTHERS,
            requires={f"{prefix}attnpool.positional_embedding": ""},
            classes=f"{prefix}classifier.weight",
        )
        for prefix in ("visual.", "")  # the visual side alone is saved without its name
        for name in ("resnet50_clip", "resnet101_clip")
    ),
    classes="visual.classifier.weight",  # of a head that was added here; no published file has one
    head=r"predictions/.*",
    conventions=("previous",),
)
