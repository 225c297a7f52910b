"""Check keys, shapes, dtypes and finite values of a model file before its tensors are used."""

from collections.abc import Mapping

import torch
from torch import Tensor

from geoexplain.errors import CheckpointError

FLOATS = ("F16", "F32", "F64")
"""Accepted types of weights; BF16 is too coarse to reproduce published figures."""

DTYPES = {torch.float16: "F16", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}

Layout = tuple[tuple[int, ...], str]
"""Shape and number type of one tensor."""

AT_A_TIME = 2**20
"""Number of values that are tested together."""

SHOWN = 5
"""Maximum number of differences in a message."""


def layout_of(value: Tensor) -> Layout:
    """Return the shape and number type of a tensor, the type by its name in safetensors."""
    return tuple(value.shape), DTYPES.get(value.dtype, str(value.dtype).removeprefix("torch."))


def check_layout(
    file: str,
    expected: Mapping[str, Tensor],
    layouts: Mapping[str, Layout],
    question: str = "is this the file of another model?",
    floats: tuple[str, ...] = FLOATS,
) -> None:
    """Compare the layouts of a file's tensors with the tensors, on any device, that a network expects.

    Floating-point numbers may be of any type in `floats`. Raises CheckpointError with the first five differences;
    `question` ends the sentence.
    """
    differences = [f"key {key!r} is missing" for key in expected if key not in layouts]
    differences += [f"unexpected key {key!r}" for key in layouts if key not in expected]
    for key in expected.keys() & layouts.keys():
        shape, dtype = layouts[key]
        tensor = expected[key]
        dtypes = floats if tensor.is_floating_point() else ("I64",)
        if shape != tuple(tensor.shape):
            differences.append(f"key {key!r} has shape {shape}, expected {tuple(tensor.shape)}")
        elif dtype not in dtypes:
            differences.append(f"key {key!r} has type {dtype}, expected {' or '.join(dtypes)}")
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        shown = "; ".join(difference[:300] for difference in sorted(differences)[:SHOWN])
        raise CheckpointError(f"{file}: {shown}{more}: {question}")


def check_finite(file: str, state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if a floating-point tensor has a value that is not finite in fp32, or a variance < 0."""
    for key, value in state.items():
        # Tested in parts, since testing a whole tensor takes several times its memory,
        # and in fp32, in which networks compute: finite fp64 values may be infinite there.
        parts = value.flatten().split(AT_A_TIME) if value.is_floating_point() else ()
        if not all(part.float().isfinite().all() for part in parts):
            raise CheckpointError(f"{file}: key {key!r} holds NaN or infinite values: get the file again.")
        if key.endswith("running_var") and (value < 0).any():
            raise CheckpointError(
                f"{file}: key {key!r}: expected variances ≥ 0, got {float(value.min()):g}: get the file again."
            )
