"""Make `quantus_ci.json`: what Quantus calls the concept influence of random attributions and masks. Run by hand.

    python -m venv quantus && quantus/bin/pip install quantus==0.6.0
    quantus/bin/python tests/golden/make_quantus.py

Every case is drawn again from its seed by `drawn`, which needs NumPy alone. Quantus divides an attribution by its
largest value beforehand, which moves no pixel past another; its warnings, progress bar and mean are off.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("quantus_ci.json")

# (seed, height, width, k, share of the mask); the last mask is empty
CASES = (
    (0, 224, 224, 1000, 0.2),
    (1, 224, 224, 1000, 0.05),
    (2, 64, 96, 1000, 0.7),
    (3, 30, 17, 1, 0.3),
    (4, 30, 17, 509, 0.3),
    (5, 25, 25, 50, 0.01),
    (6, 300, 400, 1000, 0.5),
    (7, 12, 40, 100, 1.0),
    (8, 33, 21, 10, 0.0),
)


def drawn(seed: int, height: int, width: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """An attribution, float64 (H, W) ≥ 0 without equal values, and a mask, bool (H, W), that it leans towards."""
    rng = np.random.Generator(np.random.PCG64(seed))
    mask = rng.random((height, width)) < share
    return rng.random((height, width)) ** 2 + 0.2 * mask * rng.random((height, width)), mask


def main() -> None:
    """Ask Quantus and write the file."""
    import quantus

    cases = []
    for seed, height, width, k, share in CASES:
        attribution, mask = drawn(seed, height, width, share)
        values = {}
        for name, influence in (("tki", False), ("ci", True)):
            metric = quantus.TopKIntersection(
                k=k, concept_influence=influence, disable_warnings=True, display_progressbar=False
            )
            (value,) = metric(
                model=None,
                x_batch=np.zeros((1, 1, height, width)),
                y_batch=np.zeros(1, dtype=int),
                a_batch=attribution[None, None],
                s_batch=mask[None, None],
                channel_first=True,
            )
            values[name] = None if np.isnan(value) else float(value)
        cases.append({"seed": seed, "height": height, "width": width, "k": k, "share": share, **values})
    record = {"quantus": quantus.__version__, "metric": "TopKIntersection", "cases": cases}
    FILE.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
