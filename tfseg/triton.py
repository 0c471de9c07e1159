"""PyTorch's compiler triton, which crashes Python where it is loaded after TensorFlow."""

import sys


def keep_triton_out() -> None:
    """Lets `import triton` fail where TensorFlow is loaded and triton is not: each has an LLVM, and the second crashes.

    PyTorch's packages for CUDA bring triton, and torchvision or `torch.export` load it. They do without it, but for
    `torch.compile` on a GPU: whoever wants that beside TensorFlow imports triton first.
    """
    if "tensorflow" in sys.modules:
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # None: Python's sign for a refused import
