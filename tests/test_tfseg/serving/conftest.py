"""A server of an exported model that all tests here share."""

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported folder."""
    from helpers.served import write_folder

    return write_folder(tmp_path_factory.mktemp("exported") / "colors")


@pytest.fixture(scope="module")
def exported(folder):
    """The model of the folder."""
    from tfseg.serving.exported import ExportedModel

    return ExportedModel(folder)


@pytest.fixture(scope="module")
def port(exported):
    """The port of a server of that model."""
    from helpers.served import serving

    with serving(exported, max_pixels=100_000, max_bytes=400_000) as port:
        yield port
