"""Runs of the model that requests wait for."""

import asyncio

import numpy as np
import pytest

from tfseg.serving.batches import Batches


@pytest.mark.parametrize("inputs", [{"threshold": np.array(3.0)}, {}])
def test_a_signature_without_images_is_answered(inputs):
    async def answer():
        batches = Batches(lambda signature, given: {"name": np.array(signature)}, batch=4, max_pixels=100)
        try:
            return await asyncio.wait_for(batches.run("other", inputs), 10)
        finally:
            batches.stop()

    assert asyncio.run(answer())["name"] == "other"
