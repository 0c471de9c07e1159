"""The choices that commands write out are those of the library."""

import keras
import pytest

from tfseg import data, losses, specs, training
from tfseg.surgery.adapt_channels import FIRST_CONVS
from tfseg.training.recipes import BATCH_NORM_ALIASES, BATCH_NORMS, DTYPES, LOSSES
from tfseg_cli import choices


def test_choices_of_training_are_those_of_the_library():
    assert tuple(training.RECIPES) == choices.RECIPES
    assert (*BATCH_NORMS, *BATCH_NORM_ALIASES) == choices.BATCH_NORMS
    assert choices.DTYPES == DTYPES
    assert choices.LOSSES == LOSSES
    assert all(hasattr(losses, f"{method}_weights") for method in choices.CLASS_WEIGHTS)


def test_choices_of_networks_are_those_of_the_library():
    assert choices.CONVENTIONS == specs.CONVENTIONS
    assert tuple(map(int, choices.OUTPUT_STRIDES)) == specs.OUTPUT_STRIDES
    assert choices.FIRST_CONVS == FIRST_CONVS


def test_choices_of_data_sets_open_them():
    assert all(callable(getattr(data, kind)) for kind in choices.DATA_SETS)
    assert choices.VOID == data.VOID


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports come from TensorFlow")
def test_formats_of_export_need_what_the_library_needs():
    from tfseg.exporting import FORMATS
    from tfseg.exporting.photograph_network import OUTPUTS

    assert list(choices.FORMATS) == list(FORMATS)
    assert choices.OUTPUTS == OUTPUTS
    assert tuple(name for name, format in FORMATS.items() if "calibration" in format.needs) == choices.CALIBRATED
    for name, needs in choices.FORMATS.items():
        assert needs == (FORMATS[name].runtime.modules, FORMATS[name].runtime.extra)
