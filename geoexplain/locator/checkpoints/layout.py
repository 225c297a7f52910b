"""What a model file must hold: keys, shapes, dtypes and finite values, compared before a tensor is used."""

from collections.abc import Mapping

import torch
from torch import Tensor

from geoexplain.errors import CheckpointError

FLOATS = ("F16", "F32", "F64")
"""Kinds of numbers that weights may be stored as; BF16 is too coarse to give anyone's published figures back."""

DTYPES = {torch.float16: "F16", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}

Layout = tuple[tuple[int, ...], str]
"""Shape and kind of numbers of one tensor."""

AT_A_TIME = 2**20
"""Numbers that are tested together."""

SHOWN = 5
"""So many differences are told."""


def layout_of(value: Tensor) -> Layout:
    """Shape and kind of numbers of a tensor, the kind in the words of safetensors."""
    return tuple(value.shape), DTYPES.get(value.dtype, str(value.dtype).removeprefix("torch."))


def check_layout(
    file: str,
    expected: Mapping[str, Tensor],
    found: Mapping[str, Layout],
    question: str = "is this the file of another model?",
    floats: tuple[str, ...] = FLOATS,
) -> None:
    """Compare what a file holds with the tensors, of any device, that a network expects.

    Floating-point numbers may be of any kind in `floats`. Raises CheckpointError with the first five differences;
    `question` ends the sentence.
    """
    differences = [f"key {key!r} is missing" for key in expected if key not in found]
    differences += [f"unexpected key {key!r}" for key in found if key not in expected]
    for key in expected.keys() & found.keys():
        shape, dtype = found[key]
        wanted = expected[key]
        dtypes = floats if wanted.is_floating_point() else ("I64",)
        if shape != tuple(wanted.shape):
            differences.append(f"key {key!r} has shape {shape}, expected {tuple(wanted.shape)}")
        elif dtype not in dtypes:
            differences.append(f"key {key!r} has type {dtype}, expected {' or '.join(dtypes)}")
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        shown = "; ".join(difference[:300] for difference in sorted(differences)[:SHOWN])
        raise CheckpointError(f"{file}: {shown}{more}: {question}")


def check_finite(file: str, state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError when a tensor of floating-point numbers holds one that is not finite in fp32."""
    for key, value in state.items():
        # In parts: the test of a whole tensor takes several times its memory.
        # As fp32, which a network computes in: fp64 holds numbers that are infinite there.
        parts = value.flatten().split(AT_A_TIME) if value.is_floating_point() else ()
        if not all(part.float().isfinite().all() for part in parts):
            raise CheckpointError(f"{file}: key {key!r} holds NaN or infinite values: get the file again.")
        if key.endswith("running_var") and (value < 0).any():
            raise CheckpointError(
                f"{file}: key {key!r}: expected variances ≥ 0, got {float(value.min()):g}: get the file again."
            )
