"""Models on their way out of Python."""

import contextlib
import io
import pathlib
import shutil
import tempfile


def export(model, path):
    """Writes a SavedModel that any TensorFlow runs without this package: float image batch in, logits out, any size.

    Args:
        model: a Keras model under the TensorFlow backend.
        path: the directory to make.
    Returns: the path.
    Raises:
        ValueError: the path exists, or its parent does not.
        OSError: the disk is full, or writing is not allowed.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    if path.exists() or not path.parent.is_dir():
        why = "exists: remove it or choose another" if path.exists() else "lies in a directory that does not exist"
        raise ValueError(f"The export target {str(path)!r} {why}.")
    # Made beside its place and renamed: an interrupted export leaves nothing that looks like a model.
    half = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras prints the endpoints even when told not to
            model.export(half / "model", format="tf_saved_model", verbose=False)
        (half / "model").rename(path)
    except tf.errors.OpError as error:  # TensorFlow's own words for what the operating system refused
        raise OSError(f"{path} cannot be written: {error.message}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return path
