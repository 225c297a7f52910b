"""`geoexplain train embedding`: learn an embedding for Search within Cell on the features of a model."""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from geoexplain.cli.arguments import add_device, count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.photo_sets import add_photo_source, open_photos, parse_shares, split
from geoexplain.errors import DataError
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from geoexplain.photos import PhotoCollection
from geoexplain.training.distributed import alone, default_device
from geoexplain.training.photo_batches import evaluation_batches
from geoexplain.training.retrieval import EmbeddingTraining, recall_at_1, train_embedding
from geoexplain.words import percent

DEFAULTS = EmbeddingTraining()

MEASURED = 5000
"""Maximum number of validation photos on which the embedding is compared with the features themselves."""

EPILOG = """\
The model's own weights do not change. Photos within --near-km of one another show one place; their embeddings are
trained to be similar, and those of other places, many of them in the same cell, to differ (Kordopatis-Zilos et al.,
ICMR 2021). The model is written with its embedding to --out; build a gallery with it."""


def add_embedding_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain train embedding`."""
    parser.description = "Learn an embedding for Search within Cell on the features of a trained model."
    parser.epilog = EPILOG
    add_photo_source(parser)
    parser.add_argument("--model", required=True, metavar="NAME|PATH", help="the model whose features are used")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the model with embedding")
    add_device(parser)
    add_embedding_options(parser)
    parser.set_defaults(run=run)


def add_embedding_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how an embedding is learned."""
    km = number(float, 1e-4, 100, "a number of kilometres above 0")
    parser.add_argument(
        "--near-km",
        type=km,
        default=DEFAULTS.near_km,
        metavar="KM",
        help="photos no farther apart than this show one place, for the embedding (default: %(default)g)",
    )
    parser.add_argument(
        "--embedding-steps",
        type=count,
        default=DEFAULTS.steps,
        metavar="N",
        help="training steps of the embedding (default: %(default)s)",
    )
    parser.add_argument(
        "--embedding-width",
        type=count,
        default=DEFAULTS.hidden_dim,
        metavar="N",
        help="width of the embedding's hidden layer (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Learn the embedding of a model and write the model with it; return 0."""
    parse_shares(args.shares)
    joined = alone(args.device or default_device())
    model = load_model(args.model, joined.device)
    args.out.mkdir(parents=True, exist_ok=True)
    collection = open_photos(args, args.out, joined)
    learn(args, model, collection, split(args, collection, args.out, joined), args.out)
    return 0


def embed(
    args: argparse.Namespace,
    weights: Path,
    collection: PhotoCollection,
    parts: dict[str, NDArray[np.int64]],
    device: torch.device,
) -> None:
    """Add an embedding to the files of a released model, and record it in the model's card."""
    learn(args, load_model(str(weights), device), collection, parts, weights.parent)
    card = weights.with_suffix(".card.json")
    facts = json.loads(card.read_text(encoding="utf-8"))
    facts |= {"embedding": args.embedding_width, "bytes": weights.stat().st_size}
    card.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def learn(
    args: argparse.Namespace,
    model: GeoModel,
    collection: PhotoCollection,
    parts: dict[str, NDArray[np.int64]],
    folder: Path,
) -> None:
    """Learn an embedding on the training photos, compare it on the validation photos, write the model with it.

    Raises DataError when no two photos show one place.
    """
    settings = EmbeddingTraining(
        near_km=args.near_km, steps=args.embedding_steps, hidden_dim=args.embedding_width, seed=args.seed
    )
    with TemporaryDirectory(dir=folder, prefix=".features-") as scratch:
        rows, features, cells = features_of(model, collection, parts["train"], args.workers, Path(scratch))
        with progress_bar(settings.steps, "steps", desc="learning an embedding") as bar:

            def report(_done: int, _total: int, loss: float) -> None:
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update()

            embedder = train_embedding(
                features, collection.positions_deg[rows], cells, settings, model.device, progress=report
            )
    with TemporaryDirectory(dir=folder, prefix=".features-") as scratch:
        rows, features, _ = features_of(model, collection, parts["validation"][:MEASURED], args.workers, Path(scratch))
        print(described(model, embedder, features, collection.positions_deg[rows], settings.near_km))
    file = folder / f"{model.name}.safetensors"
    facts = {**describe(model), "embedding": embedder.hidden_dim}
    save_geoexplain(
        model.network,
        facts,
        model.partition,
        file,
        coarser=model.coarser,
        embedder=embedder,
        trees=model.own_trees,
        gate=model.gate,
    )
    print(f"wrote {file} with its embedding")


def described(
    model: GeoModel,
    embedder: torch.nn.Module,
    features: NDArray[np.float16],
    positions_deg: NDArray[np.float64],
    near_km: float,
) -> str:
    """Describe how often the most similar validation photo shows the same place, by features and by embedding."""
    raw = torch.from_numpy(np.array(features)).float()
    with torch.inference_mode():
        ways = {
            "features": torch.nn.functional.normalize(raw, dim=-1),
            "embedding": embedder(raw.to(model.device)).cpu(),
        }
    try:
        shares = {way: recall_at_1(vectors, positions_deg, near_km) for way, vectors in ways.items()}
    except DataError:
        return "no two validation photos show one place: the embedding is not measured"
    text = ", ".join(f"{percent(share)} by {way}" for way, share in shares.items())
    return f"most similar validation photo of the same place: {text}"


def features_of(
    model: GeoModel, collection: PhotoCollection, rows: NDArray[np.int64], workers: int, scratch: Path
) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.int64]]:
    """Return the n rows that could be read, their fp16 features (n, D), and the cell of each.

    The features are stored in a file in `scratch`. Raises DataError when no photo can be read.
    """
    size = (max(len(rows), 1), model.network.backbone.feature_dim)
    features = np.lib.format.open_memmap(scratch / "features.npy", mode="w+", dtype=np.float16, shape=size)
    read: list[NDArray[np.int64]] = []
    done = 0
    batches = evaluation_batches(
        collection, rows, size_px=model.preprocess.size_px, preprocess=model.preprocess, batch=64, workers=workers
    )
    with progress_bar(len(rows), "photos", desc="looking at photos") as bar:
        for batch in batches:
            if len(batch.rows):
                values = model.features(batch.images).half().cpu().numpy()
                features[done : done + len(values)] = values
                done += len(values)
                read.append(batch.rows)
            bar.update(len(batch.rows) + len(batch.failed))
    if not read:
        raise DataError(f"embedding: expected photos that can be read, got none of {len(rows)}: check the files.")
    readable = np.concatenate(read)
    return readable, features[:done], model.partition.nearest_many(collection.positions_deg[readable])
