"""The models that geoexplain knows by name, one row each."""

from dataclasses import dataclass
from pathlib import Path

import torch

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints import load_geoexplain
from geoexplain.locator.model import GeoModel

BUNDLED = "earth-views-b0"
"""The model that comes with geoexplain."""

DATA = Path(__file__).parents[2] / "data"


@dataclass(frozen=True)
class ZooRow:
    """One known model: its weights file, what it is for, its licence and whom to cite."""

    file: Path
    purpose: str
    licence: str
    citation: str


ZOO: dict[str, ZooRow] = {
    BUNDLED: ZooRow(
        file=DATA / "earth-views-b0.safetensors",
        purpose="Views of Earth from above; for street photos load another model.",
        licence="Apache-2.0; trained on NASA's Blue Marble Next Generation (public domain).",
        citation="Stöckli, Vermote, Saleous, Simmon, Herring: The Blue Marble Next Generation, NASA, 2005.",
    ),
}
"""Every model known by name. Menus, command-line choices and tests read this table."""


def load_model(name: str | Path = BUNDLED, device: str | torch.device | None = None) -> GeoModel:
    """Load a model by its name in ZOO or by the path of a .safetensors file.

    `device` is a torch device; None takes the GPU when there is one. Raises CheckpointError when the name is not
    known and no such file exists, or when the file does not hold a model.
    """
    row = ZOO.get(str(name))
    if row is not None:
        return load_geoexplain(row.file, device)
    if Path(name).is_file():
        return load_geoexplain(Path(name), device)
    raise CheckpointError(
        f"expected a model name ({', '.join(ZOO)}) or the path of a .safetensors file, got {str(name)!r}: "
        "check the spelling."
    )
