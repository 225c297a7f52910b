"""Load TIB's published photo models from a Lightning checkpoint and its tables (Theiner et al., WACV 2022).

They have S2 or semantic partitionings, and an EfficientNet of `efficientnet_pytorch` or a ResNet of torchvision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.geography.tib_tables import read_partitionings
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import RESNETS, Backbone, create_backbone
from geoexplain.locator.checkpoints.certh import renamed_tensors
from geoexplain.locator.checkpoints.foreign_names import foreign_names
from geoexplain.locator.checkpoints.native import fill_network
from geoexplain.locator.checkpoints.torchfile import checked_tensors, read_torch_file, state_dict
from geoexplain.locator.heads import MultiPartitionHead
from geoexplain.locator.model import GeoModel, LocalizableRule, Network

HPARAMS = "hparams.yaml"
MAX_HPARAMS_BYTES = 2**20
EFFICIENTNET = "efficientnet-b"
LARGEST_FOLDER = 10_000
"""Maximum number of files in a folder that is searched for the files named in hparams.yaml."""


@dataclass(frozen=True)
class Settings:
    """Settings from hparams.yaml: network, side of the images in px, kind and files of the partitionings, columns."""

    arch: str
    image_size: int
    kind: str
    files: tuple[str, ...]
    h_dict: str | None
    columns: dict[str, Any]


def load_tib(
    folder: Path,
    *,
    name: str,
    hierarchical: bool | None = None,
    device: str | torch.device | None = None,
) -> GeoModel:
    """Load a folder with a `.ckpt`, its `hparams.yaml`, and the tables that this names (anywhere in the folder).

    hierarchical  whether a cell's share is multiplied by those of its parents (f*) or used alone (f); None is the
                  published choice: f* for S2, f for semantic partitionings

    EfficientNets get TensorFlow's "same" padding, fixed for the image size of their training. Five crops are cut as in
    the authors' tests, from 320 px (256 for images under 250 px, which the original resizes to 320 first).

    Raises CheckpointError if a file is missing, damaged, or does not fit, and DataError for an invalid table.
    """
    settings = read_settings(find_file(folder, HPARAMS))
    partition, coarser = read_partitionings(
        settings.kind,
        [find_file(folder, file) for file in settings.files],
        None if settings.h_dict is None else find_file(folder, settings.h_dict),
        settings.columns,
        name,
    )
    with torch.device("meta"):
        backbone = _backbone(settings)
        sizes = [len(cells) for cells in (*reversed(coarser), partition)]
        levels = torch.zeros(len(partition), len(sizes), dtype=torch.int64)
        product = settings.kind == "s2" if hierarchical is None else hierarchical
        head = MultiPartitionHead(backbone.feature_dim, sizes, levels, product=product and bool(coarser))
        network = Network(backbone, head)
    fill_network(network, None, _read_checkpoint(find_file(folder, ".ckpt"), backbone, head), partition, coarser)
    return GeoModel(
        network.backbone,
        network.head,
        partition,
        Preprocess(
            size_px=settings.image_size,
            max_aspect=8.0,
            crop_from_px=max(320 if settings.image_size >= 250 else 256, settings.image_size),
        ),
        name=name,
        coarser=coarser,
        rule=LocalizableRule(25, 0.2),
        device=device,
    )


def find_file(folder: Path, path: str) -> Path:
    """Find the only file in a folder with the last component of `path` as its name, or with the suffix ".ckpt".

    Raises CheckpointError if there is none, or more than one.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    matches = [file for file in _files(folder) if file.name == name or (name == ".ckpt" and file.suffix == name)]
    if not matches:
        raise CheckpointError(
            f"expected {'a file *' if name == '.ckpt' else 'the file '}{name[:100]} in the folder, found none: "
            "it belongs to TIB's download (https://github.com/jtheiner/semantic_geo_partitioning)."
        )
    if len(matches) > 1:
        names = ", ".join(str(match.relative_to(folder)) for match in sorted(matches)[:5])
        raise CheckpointError(f"expected one {name[:100]} in the folder, found {len(matches)} ({names}): leave one.")
    return matches[0]


def _files(folder: Path) -> Iterator[Path]:
    for number, file in enumerate(folder.rglob("*")):
        if number >= LARGEST_FOLDER:
            raise CheckpointError(
                f"expected a folder with one model's files, got one with over {LARGEST_FOLDER:,}: name a smaller one."
            )
        if file.is_file():
            yield file


class _Inert(yaml.SafeLoader):
    """YAML loader for plain data; tagged Python objects become the plain data that would construct them."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _letters(node, {}) > MAX_HPARAMS_BYTES:
            raise yaml.YAMLError("aliases that expand to too much data")
        return node


def _letters(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the length of a text after expanding its aliases, which may be nested; stops above MAX_HPARAMS_BYTES."""
    if id(node) not in known:
        known[id(node)] = MAX_HPARAMS_BYTES + 1  # for a node that contains itself
        if isinstance(node, yaml.ScalarNode):
            inner = len(node.value)
        else:
            pairs = node.value if isinstance(node, yaml.MappingNode) else [node.value]
            inner = sum(_letters(part, known) for pair in pairs for part in pair)
        known[id(node)] = min(1 + inner, MAX_HPARAMS_BYTES + 1)
    return known[id(node)]


def _plain(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        parts = loader.construct_sequence(node, deep=True)
        return "/".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else parts
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


_Inert.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


def read_settings(file: Path) -> Settings:
    """Read the settings in a `hparams.yaml`, flat or under `model_params`. Raises CheckpointError if one is invalid."""
    if file.stat().st_size > MAX_HPARAMS_BYTES:
        raise CheckpointError(f"{file.name}: expected at most 1 MiB of settings, got more: is this another file?")
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_Inert)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise CheckpointError(
            f"{file.name}: expected settings in YAML, could not read them ({type(error).__name__}): get the file again."
        ) from None
    data = data.get("model_params", data) if isinstance(data, dict) else {}
    data = data if isinstance(data, dict) else {}
    cells: Any = data.get("partitionings")
    cells = cells if isinstance(cells, dict) else {}
    arch: Any = data.get("arch")
    size: Any = data.get("image_size")
    kind: Any = cells.get("ptype")
    files: Any = cells.get("files")
    h_dict, columns = cells.get("h_dict"), cells.get("base_part_kwargs") or {}
    known = isinstance(arch, str) and (arch in RESNETS or arch.removeprefix(EFFICIENTNET) in set("01234567"))
    problems = [
        (known, f"arch: {EFFICIENTNET}0 … {EFFICIENTNET}7 or {', '.join(RESNETS)}", arch),
        (type(size) is int and 32 <= size <= 1024, "image_size: a whole number from 32 to 1024", size),
        (kind in {"s2", "semp"}, "partitionings.ptype: s2 or semp", kind),
        (_are_texts(files), "partitionings.files: the names of 1 to 8 tables, coarse to fine", files),
        (h_dict is None or isinstance(h_dict, str), "partitionings.h_dict: the name of a file", h_dict),
        (isinstance(columns, dict), "partitionings.base_part_kwargs: names of columns", columns),
    ]
    for is_valid, expected, got in problems:
        if not is_valid:
            raise CheckpointError(
                f"{file.name}: expected {expected}; got {str(got)[:100]!r}: does the file belong to another model?"
            )
    needs_tree = kind == "semp" and len(files) > 1
    return Settings(arch, size, kind, tuple(files), (h_dict or "h_dict.json") if needs_tree else None, columns)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 8 and all(isinstance(part, str) and part for part in value)


def _backbone(settings: Settings) -> Backbone:
    if settings.arch in RESNETS:
        return create_backbone(settings.arch)
    variant = f"tf_efficientnet_b{settings.arch.removeprefix(EFFICIENTNET)}"
    return create_backbone(variant, bn_eps=1e-3, padding_for_px=settings.image_size)


def _read_checkpoint(file: Path, backbone: Backbone, head: nn.Module) -> dict[str, Tensor]:
    data = read_torch_file(file)
    whole = data.get("state_dict") if isinstance(data, dict) else None
    if not isinstance(whole, dict):
        raise CheckpointError(
            f"{file.name}: expected a Lightning checkpoint with a 'state_dict', got none: is this another file?"
        )
    state = state_dict(file.name, whole)
    names = {key: f"model.{foreign}" for key, foreign in foreign_names(backbone).items()}
    layers = {key: value for key, value in state.items() if key.startswith("classifier.")}
    body = {key: value for key, value in state.items() if key not in layers}
    tensors = renamed_tensors(file.name, body, backbone, names)
    own = {key: value for key, value in head.state_dict().items() if key != "hierarchy"}
    classifier = checked_tensors(file.name, layers, own, "do the tables belong to another model?")
    return {f"backbone.{key}": value for key, value in tensors.items()} | {
        f"head.{key}": value for key, value in classifier.items()
    }
