"""What competes: tfseg under JAX and PyTorch, and PyTorch's own networks, plain and compiled."""

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.nets import CLASSES, Case, keras_network, torch_network

CONTENDERS = {"tfseg_jax": "jax", "tfseg_torch": "torch", "torch": None, "torch_compile": None}
"""The names of the contenders, and the backend of Keras of those that are tfseg's."""
WARM_UP = 3  # steps before the clock starts: the first compiles, the second may compile again for its own results
Run = Callable[[int], Any]  # makes so many steps, and returns when the device has made them


class Contender:
    """One contender with the case that it holds.

    Args:
        name: a name of `CONTENDERS`.
        compiler: backend of `torch.compile`.
    """

    def __init__(self, name: str, compiler: str = "inductor") -> None:
        self.name, self._compiler = name, compiler
        self._run: Run | None = None

    def load(self, case: Case) -> dict[str, Any]:
        """Builds and compiles a network, and makes its first steps.

        Args:
            case: what will be measured.
        Returns: its parameters, the seconds that it took, and the device's memory in GB, where it is known.
        """
        begin = time.perf_counter()
        make = _keras_run if CONTENDERS[self.name] else _torch_run
        options = {} if CONTENDERS[self.name] else {"compiler": self._compiler if "compile" in self.name else None}
        self._run, parameters = make(case, **options)
        loss = self._run(WARM_UP)
        if case.task == "training" and not np.isfinite(loss):
            raise ValueError(f"The loss is {loss}")
        seconds = time.perf_counter() - begin
        return {"parameters": parameters, "load_seconds": round(seconds, 2), "peak_gb": _peak_gb()}

    def run(self, steps: int) -> float:
        """The seconds of so many steps.

        Args:
            steps: number of steps.
        """
        assert self._run is not None
        begin = time.perf_counter()
        self._run(steps)
        return time.perf_counter() - begin

    def drop(self) -> None:
        """Gives back the memory of the case."""
        import sys

        self._run = None
        if CONTENDERS[self.name]:
            import keras

            keras.backend.clear_session()
        gc.collect()
        if "jax" in sys.modules:
            sys.modules["jax"].clear_caches()
            gc.collect()
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of JAX or PyTorch says that the device's memory is full.

    Args:
        error: any exception.
    """
    text = f"{type(error).__name__}: {error}"
    return any(sign in text for sign in ("RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory", "Out of memory"))


def examples(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Random images `(batch, height, width, 3)` and masks.

    Args:
        case: what is measured.
    """
    random = np.random.default_rng(0)
    shape = case.batch, case.size, case.size
    return random.normal(size=(*shape, 3)).astype("float32"), random.integers(0, CLASSES, shape).astype("int32")


def _peak_gb() -> float | None:
    """The most memory of the device that this process has used, in GB; None on a CPU."""
    import sys

    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        return round(sys.modules["torch"].cuda.max_memory_allocated() / 1e9, 2)
    if "jax" in sys.modules:
        facts = sys.modules["jax"].local_devices()[0].memory_stats() or {}
        return round(facts["peak_bytes_in_use"] / 1e9, 2) if "peak_bytes_in_use" in facts else None
    return None


# -------------------------------------------------------------------------------------------------------------- tfseg


def _keras_run(case: Case) -> tuple[Run, int]:
    """The steps of tfseg's own training, or of its prediction, under the backend of Keras."""
    import keras

    from tfseg import training
    from tfseg.prediction.compiled import compiled
    from tfseg.training.precision import with_dtype
    from tfseg.training.step import make_step

    _allow_tf32(case.precision != "float32")
    model = keras_network(case.network, case.tiny)
    if case.precision == "bfloat16":
        model = with_dtype(model, "mixed_bfloat16")
    images, masks = map(keras.ops.convert_to_tensor, examples(case))  # on the device, as PyTorch's are
    if case.task == "inference":
        function = compiled(model, lambda logits: logits)

        def predict(steps: int, _model: keras.Model = model) -> Any:  # `function` does not keep the model alive
            for _ in range(steps):
                logits = function(images)
            return _finished(logits)

        return predict, _count(model)
    recipe = training.Recipe(learning_rate=0.001, power=0.0, batch_size=case.batch)
    training.compile_model(model, recipe)
    step, done = make_step(model, recipe), 0

    def train(steps: int) -> float:
        nonlocal done
        for _ in range(steps):
            loss = step((images, masks), np.int64(done))
            done += 1
        return float(loss)

    return train, _count(model)


def _count(model: Any) -> int:
    """The number of trainable parameters of a Keras model."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def _allow_tf32(allowed: bool) -> None:
    """Says whether float32 may be multiplied as TF32, in the backend of Keras."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")
        return
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True


def _finished(result: Any) -> Any:
    """The result, once the device has computed it."""
    if hasattr(result, "block_until_ready"):
        return result.block_until_ready()
    if result.is_cuda:
        import torch

        torch.cuda.synchronize()
    return result


# ------------------------------------------------------------------------------------------------------------ PyTorch


def _torch_run(case: Case, compiler: str | None) -> tuple[Run, int]:
    """The steps of the public network: channels_last, autocast for bfloat16; compiled if there is a compiler."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = case.precision != "float32"
    torch.backends.cudnn.benchmark = True  # JAX chooses among algorithms, too
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    module = torch_network(case.network, case.tiny).to(device, memory_format=torch.channels_last)
    arrays, classes = examples(case)
    images = torch.from_numpy(arrays.transpose(0, 3, 1, 2)).to(device).contiguous(memory_format=torch.channels_last)
    autocast = torch.autocast(device, torch.bfloat16, enabled=case.precision == "bfloat16")
    if case.task == "inference":
        module.eval()
        # Graphs of CUDA spare the launches, which JAX spares as well; other compilers know no such mode.
        mode = {"mode": "reduce-overhead"} if compiler == "inductor" and device == "cuda" else {}
        function = torch.compile(module, backend=compiler, **mode) if compiler else module

        def predict(steps: int) -> Any:
            with torch.inference_mode(), autocast:
                for _ in range(steps):
                    logits = function(images)
            return _finished(logits)

        return predict, sum(value.numel() for value in module.parameters())
    module.train()
    masks = torch.from_numpy(classes).long().to(device)
    parameters = [value for value in module.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.001, momentum=0.9, weight_decay=1e-4, fused=device == "cuda")
    criterion = torch.nn.CrossEntropyLoss(ignore_index=255)

    def loss_of(images: Any, masks: Any) -> Any:
        with autocast:
            return criterion(module(images), masks)

    function = torch.compile(loss_of, backend=compiler) if compiler else loss_of

    def train(steps: int) -> float:
        for _ in range(steps):
            loss = function(images, masks)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    return train, sum(value.numel() for value in parameters)
