"""Load CERTH's published photo model from its three state dicts (Kordopatis-Zilos et al., ICMR 2021)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from geoexplain.errors import CheckpointError
from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone, create_backbone
from geoexplain.locator.checkpoints.foreign_names import efficientnet_pytorch_names
from geoexplain.locator.checkpoints.native import EMBEDDER, fill_network
from geoexplain.locator.checkpoints.torchfile import checked_tensors, read_torch_file, state_dict
from geoexplain.locator.heads import RetrievalEmbedding, VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule, Network
from geoexplain.words import extremes

BACKBONE, HEAD, EMBEDDING = "efficientnet_backbone.pt", "mvmf_head.pt", "rrm_head.pt"
CERTH_FILES = (BACKBONE, HEAD, EMBEDDING)

HEAD_NAMES = {
    "mvmf.mus": "mvmf.mus",
    "mvmf.kappas": "mvmf.kappas",
    "mixture_weights.weight": "mixture_weights.seq_model.0.weight",
    "mixture_weights.bias": "mixture_weights.seq_model.0.bias",
}
"""Key of the head here → key in CERTH's file."""

ANOTHER_NETWORK = "is this the file of another network?"

COUNTER = "num_batches_tracked"
"""Batch normalization's count of training steps, which is not used and is missing from old files."""


def load_certh(
    folder: Path,
    *,
    name: str,
    cells: int | None = None,
    device: str | torch.device | None = None,
) -> GeoModel:
    """Load a folder with CERTH_FILES: EfficientNet-B4, mixture of von Mises–Fisher distributions, retrieval embedding.

    cells  number of cells that the head must have; None accepts any

    Images are preprocessed as in the original inference: shorter side 300 px, aspect ratio kept, nothing cropped up to
    8 : 1. The padding of `efficientnet_pytorch` 0.7.0 is symmetrical, as in timm's `efficientnet_b4` and unlike its
    `tf_efficientnet_b4`; the epsilon of its batch normalization is 1e-3.

    Raises CheckpointError if a file is missing, damaged, or of another model.
    """
    missing = [file for file in CERTH_FILES if not (folder / file).is_file()]
    if missing:
        raise CheckpointError(
            f"expected {', '.join(CERTH_FILES)} in the folder, found no {' and no '.join(missing)}: "
            "ask CERTH's authors for them (https://github.com/mever-team/visloc-estimation)."
        )
    with torch.device("meta"):
        backbone = create_backbone("efficientnet_b4", bn_eps=1e-3)
        embedder = RetrievalEmbedding(backbone.feature_dim)
    state = {f"backbone.{key}": value for key, value in read_backbone(folder / BACKBONE, backbone).items()}
    head = _read_head(folder / HEAD, backbone.feature_dim, cells)
    partition = _partition(name, head.pop("mvmf.mus"))
    state |= {f"head.{key}": value for key, value in head.items()}
    rrm = checked_tensors(EMBEDDING, read_torch_file(folder / EMBEDDING), embedder.state_dict(), ANOTHER_NETWORK)
    state |= {f"{EMBEDDER}{key}": value for key, value in rrm.items()}
    with torch.device("meta"):
        network = Network(backbone, VonMisesFisherHead(backbone.feature_dim, torch.zeros(len(partition), 2)))
    fill_network(network, embedder, state, partition, ())
    return GeoModel(
        network.backbone,
        network.head,
        partition,
        Preprocess(size_px=300, max_aspect=8.0),
        name=name,
        embedder=embedder,
        rule=LocalizableRule(25, 0.2),
        device=device,
    )


def read_backbone(file: Path, backbone: Backbone) -> dict[str, Tensor]:
    """Read the tensors of a file of `efficientnet_pytorch`, under the keys of `backbone`, which may be on "meta".

    The classifier of ImageNet, `_fc`, is left out. Raises CheckpointError if the others do not fit.
    """
    state = state_dict(file.name, read_torch_file(file))
    return renamed_tensors(file.name, state, backbone, efficientnet_pytorch_names(backbone), leave_out=("_fc.",))


def renamed_tensors(
    file: str, state: dict[str, Tensor], backbone: Backbone, names: dict[str, str], leave_out: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Check the tensors of a state dict and return them under the keys of a backbone.

    `names` maps keys of the backbone to keys of the file. Keys that begin with one of `leave_out` are ignored. Raises
    CheckpointError if the others do not fit.
    """
    own = backbone.state_dict()
    state = {key: value for key, value in state.items() if not key.startswith(tuple(leave_out))}
    for key, foreign in names.items():
        if key.endswith(COUNTER) and foreign not in state:
            state[foreign] = torch.zeros((), dtype=torch.int64)
    tensors = checked_tensors(file, state, {foreign: own[key] for key, foreign in names.items()}, ANOTHER_NETWORK)
    return {key: tensors[foreign] for key, foreign in names.items()}


def _read_head(file: Path, feature_dim: int, cells: int | None) -> dict[str, Tensor]:
    data = state_dict(file.name, read_torch_file(file))
    if cells is None:  # take the number in the file; its tensors are then checked against each other
        mus = data.get("mvmf.mus")
        cells = mus.shape[1] if mus is not None and mus.dim() == 2 else 1
    with torch.device("meta"):
        expected = VonMisesFisherHead(feature_dim, torch.zeros(max(cells, 1), 2)).state_dict()
    tensors = checked_tensors(
        file.name,
        data,
        {foreign: expected[key] for key, foreign in HEAD_NAMES.items()},
        "is this the head of another model?",
    )
    return {key: tensors[foreign] for key, foreign in HEAD_NAMES.items()}


def _partition(name: str, mus: Tensor) -> Partition:
    centers = mus.T.double().numpy().copy()  # (K, 2)
    if (abs(centers[:, 0]) > 90).any() or (abs(centers[:, 1]) > 360).any():
        raise CheckpointError(
            f"{HEAD}: key 'mvmf.mus': expected latitudes in [-90, 90] and longitudes in [-180, 180], got "
            f"{extremes(centers[:, 0])} and {extremes(centers[:, 1])}: is this the head of another model?"
        )
    # Centres were trained with the network, so a centre near the antimeridian may be slightly beyond it.
    beyond = abs(centers[:, 1]) > 180
    centers[beyond, 1] = (centers[beyond, 1] + 180) % 360 - 180
    return name_cells(unnamed(name, centers))
