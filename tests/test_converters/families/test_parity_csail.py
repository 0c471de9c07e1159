"""Converted pairs of encoder and decoder compute what CSAILVision's do, layer by layer."""

import numpy as np
import pytest
import torch
from helpers import run_command
from helpers.deep_stem_twins import Csail
from helpers.references import filled_module, images, output, relative, torch_output

import converters
import tfseg
from converters import ConversionError

PUBLIC = "a twin of CSAILVision/semantic-segmentation-pytorch"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
DECODERS = ("c1", "c1_deepsup", "ppm", "ppm_deepsup")
NAMES = {"c1": "fcn", "ppm": "pspnet"}


def net(depth=18, decoder="c1", seed=0, **options):
    return filled_module(Csail, seed, 1.0, depth=depth, decoder=decoder, **options)


def pair(path, module):
    """The module's encoder and decoder, as files."""
    files = [path / f"{part}_epoch_20.pth" for part in ("encoder", "decoder")]
    for file, state in zip(files, module.files(), strict=True):
        torch.save(state, file, _use_new_zipfile_serialization=False)
    return files


def check(depth, decoder, width, record):
    module, kind = net(depth, decoder, width=width), decoder.removesuffix("_deepsup")
    model, receipt = converters.convert(module, aux=True if module.deepsup else None)
    assert (receipt.family, receipt.network) == (f"csailvision/{kind}", f"{NAMES[kind]}_resnet{depth}")
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in SIZES:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(f"resnet{depth}dilated {decoder}, width {width:g}", comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("depth", [18, 50])
def test_encoder_and_decoder(depth, decoder, record):
    check(depth, decoder, 1 / 8, record)


@pytest.mark.full
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("depth", [18, 50, 101])
def test_every_pair_at_full_width(depth, decoder, record):
    check(depth, decoder, 1, record)


@pytest.mark.quick_variants("c1")
@pytest.mark.parametrize("decoder", ["ppm_deepsup", "c1"])
def test_verification_runs_their_own_networks(tmp_path, decoder, record):
    pytest.importorskip("mit_semseg")
    files = pair(tmp_path, net(18, decoder, num_classes=150))
    deepsup = decoder.endswith("deepsup")
    model, receipt = converters.convert(files, aux=True if deepsup else None)
    pixels = np.random.default_rng(0).integers(0, 256, (96, 101, 3)).astype("uint8")
    comparison = converters.verify(model, receipt, files, pixels)
    assert {row.layer for row in comparison} == {layer.name for layer in model.layers if layer.weights}
    record(f"resnet18dilated {decoder}, mit_semseg's own", comparison.worst)


@pytest.mark.full
def test_two_files_are_one_model(tmp_path):
    module = net(18, "ppm_deepsup", width=1 / 8)
    files = pair(tmp_path, module)
    model, receipt = converters.convert(files)
    assert [entry["path"] for entry in receipt.files] == list(map(str, files))
    wanted = module(torch.from_numpy(images(65, 83).transpose(0, 3, 1, 2).copy()))[0]
    assert relative(output(model, images(65, 83)), wanted.permute(0, 2, 3, 1)) <= TOLERANCE
    backwards, _ = converters.convert(files[::-1])
    assert (output(backwards, images(65, 83)) == output(model, images(65, 83))).all()


def test_one_part_alone_is_refused_by_its_name(tmp_path):
    encoder, decoder = pair(tmp_path, net(18, "c1_deepsup", width=1 / 16))
    together = r"Give all files together: convert\(\['encoder.pth', 'decoder.pth'\]\), --checkpoint=encoder.pth,decoder"
    with pytest.raises(
        ConversionError,
        match=rf"encoder_epoch_20.pth holds the encoder of a network of csailvision/ppm, without its decoder. {together}"
        r".pth; or take the features alone: include_top=False.",
    ):
        converters.convert(encoder)
    for options in ({}, {"include_top": False}, {"network": "fcn_resnet18"}, {"family": "csailvision/c1"}):
        with pytest.raises(
            ConversionError,
            match=rf"decoder_epoch_20.pth holds the decoder of a network of csailvision/c1, without its encoder. {together}",
        ):
            converters.convert(decoder, **options)
    identified = converters.identify(encoder)
    assert (identified.family, identified.include_top) == ("csailvision/ppm", False)
    assert "it lacks the decoder, which is a file of its own" in identified.evidence
    with pytest.raises(ConversionError, match=r"holds the decoder"):
        converters.identify(decoder)


@pytest.mark.full
def test_parts_that_belong_to_other_networks_are_refused(tmp_path):
    encoder, _ = pair(tmp_path, net(18, "ppm", width=1 / 16))
    (tmp_path / "other").mkdir()
    other_encoder, other_decoder = pair(tmp_path / "other", net(50, "ppm", width=1 / 16))
    with pytest.raises(
        ConversionError, match=r"Wrong shape: 5\n  ppm.0.1.weight \[512, 128, 1, 1\], expected \[512, 32"
    ):
        converters.convert([encoder, other_decoder])
    with pytest.raises(ConversionError, match=r"Two of the files hold the tensor 'conv1.weight'"):
        converters.convert([encoder, other_encoder])


@pytest.mark.full
def test_the_encoder_alone_gives_the_features(tmp_path):
    module = net(18, "ppm", width=1 / 16)
    encoder, _ = pair(tmp_path, module)
    model, receipt = converters.convert(encoder, include_top=False)

    class Trunk(torch.nn.Module):
        def forward(self, image):
            return module.trunk(image)[1]

    assert relative(output(model, images(65, 83)), torch_output(Trunk(), images(65, 83))) <= TOLERANCE
    assert any(other.startswith("csailvision/c1 fcn_resnet18") for other in receipt.others)


def test_both_preprocessings():
    state = net(18, "c1", width=1 / 16, num_classes=150).state_dict()
    model, receipt = converters.convert(state)
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"
    assert tfseg.metadata(model)["classes"][:2] == ["wall", "building"]
    assert any(
        "with preprocessing='fast_rcnn': what files from before August 2019 need" in entry for entry in receipt.others
    )
    older, receipt = converters.convert(state, preprocessing="fast_rcnn")
    assert tfseg.metadata(older)["preprocessing"] == receipt.preprocessing | {
        "channel_order": "BGR",
        "mean": [102.9801, 115.9465, 122.7717],
        "std": [1.0, 1.0, 1.0],
    }
    with pytest.raises(ConversionError, match=r"preprocessing is one of 'torch', 'caffe', .*Received: 'bgr'"):
        converters.convert(state, preprocessing="bgr")


@pytest.mark.full
def test_the_command_takes_both_files_and_the_preprocessing(tmp_path):
    pair(tmp_path, net(18, "c1", width=1 / 16))
    flags = ("--checkpoint=encoder_epoch_20.pth,decoder_epoch_20.pth", "--preprocessing=fast_rcnn", "--output=m.keras")
    result = run_command.run("converters.__main__", *flags, cwd=tmp_path)
    assert result.code == 0, result.err
    assert "encoder_epoch_20.pth + decoder_epoch_20.pth -> fcn_resnet18" in result.out
    assert "channel_order BGR" in result.out


def test_buffers_of_the_synchronized_norm_are_left_out_with_the_reason():
    state = net(18, "c1", width=1 / 16).state_dict()
    buffers = {f"bn1.{name}": torch.zeros(4) for name in ("_tmp_running_mean", "_tmp_running_var", "_running_iter")}
    _, receipt = converters.convert(state | buffers)
    assert all("synchronized BatchNorm" in receipt.ignored[key] for key in buffers)


@pytest.mark.full
@pytest.mark.parametrize("decoder", DECODERS)
def test_export_is_bit_identical(tmp_path, decoder):
    module = net(18, decoder, width=1 / 16)
    model, receipt = converters.convert(module, aux=True if module.deepsup else None)
    converters.export_weights(model, tmp_path / "back.pth", family=receipt.family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("tracked")}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())


@pytest.mark.full
def test_the_deep_supervision_is_dropped_unless_asked_for():
    module = net(18, "ppm_deepsup", width=1 / 16)
    model, receipt = converters.convert(module)
    assert not isinstance(model.output, list)
    assert {key for key in module.state_dict() if "deepsup" in key} <= set(receipt.ignored)
    with pytest.raises(ConversionError, match=r"the file has no auxiliary head. Received: aux=True"):
        converters.convert(net(18, "ppm", width=1 / 16), aux=True)
