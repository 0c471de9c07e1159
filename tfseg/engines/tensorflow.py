"""TensorFlow, on the rewritten network."""

from typing import Any

import keras

from tfseg.engines.job import AtPrecision, EngineJob, Run
from tfseg.prediction.compiled import compiled
from tfseg.types import Array


def load(job: EngineJob) -> AtPrecision:
    """The network as one compiled function.

    Args:
        job: network.
    """

    def at(dtype: str) -> Run:
        network = job.network
        if dtype != "float32":
            from tfseg.training.precision import with_dtype

            network = with_dtype(network, f"mixed_{dtype}")
        function = compiled(network, _unchanged)

        def run(batch: Array) -> Array:
            assert network is not None  # held here, because the function does not
            return keras.ops.convert_to_numpy(function(batch))

        return run

    return at


def _unchanged(logits: Any) -> Any:
    return logits
