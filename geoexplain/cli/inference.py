"""`geoexplain inference`: accept the options of the original inference.py, and write its five pictures."""

import argparse
from pathlib import Path

import torch

from geoexplain.cli.arguments import complain, count, number
from geoexplain.cli.batch import Answer, answer_each, describe_doubt
from geoexplain.cli.explain import draw, make_folder
from geoexplain.cli.recipe import Recipe
from geoexplain.cli.refine import distance_km, positive_km
from geoexplain.errors import DataError, ImageError
from geoexplain.explainer.explanation import Explanation, explain, locate
from geoexplain.explainer.table import COMBI_CAM, explanation_kind
from geoexplain.explainer.tuned import presets
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.registry import open_search
from geoexplain.locator.retrieval import EPS_KM, TOP_K, SearchWithinCell
from geoexplain.locator.zoo import BUNDLED, gallery_of, load_model, ready_models
from geoexplain.view.figure import half_and_half, save_figure

PUBLISHED = "certh-b4-mvmf"
"""The model that the original inference.py uses."""

BACKGROUND = Path("back_coll_features.hdf5")

PICTURES = {
    "combicam": (COMBI_CAM, "combi_cam.png"),
    "scorecam": ("score-cam", "score_cam.png"),
    "gradcam": ("grad-cam", "grad_cam.png"),
    "gradcamplusplus": ("grad-cam++", "gradcamplusplus.png"),
    "layercam": ("layer-cam", "layercam.png"),
}
"""The original's flags → method and file name of the picture."""

ORIGINAL = "figure_ori.png"

EPILOG = f"""\
The options, the names of the pictures and the last two lines are those of inference.py in Combi-CAM (Faget, Lisani,
Colom, VISAPP 2026) and visloc-estimation (Kordopatis-Zilos et al., ICMR 2021). --out DIR receives {ORIGINAL}, the image
itself, and one picture per requested method:
  {", ".join(name for _, name in PICTURES.values())}
Each picture blends the map in the original's jet colours (OpenCV's) equally with the part of the image that the network
saw, at that size, on a figure of 8 × 6 inches. The explained cell is the most probable one, the score its probability.
Combi-CAM adds up the raw Grad-CAMs of all blocks; the other methods use the last block. The last lines are, e.g.:
  Prediction (Lat,Lon): (45.7640, 4.8357)
  Confidence: 12.3%
The confidence is the probability within --conf_scale km of the most probable cell.

Intended differences from the original:
  - Grad-CAM++ follows its published formula, and is not drawn mirrored.
  - Score-CAM scales its masks to 0–1, and runs many at a time.
  - Every map explains the most probable cell, by its number: no method chooses a cell of its own.
  - A map without structure is reported as flat and drawn in one colour; the original divides 0 by 0.
  - The image under the map has its true colours; the original stretches the normalised ones.
  - --image_url is refused: nothing is downloaded.
  - Without a GPU the CPU computes, with or without --use_cpu. Pictures go to --out, not to /content.
  - --conf_scale takes any distance, and the background collection is optional.
`geoexplain explain` draws more methods, and explains any cell."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain inference`."""
    parser.description = "Accept the options of the original inference.py, and write its five pictures."
    parser.epilog = EPILOG
    parser.add_argument("-ip", "--image_path", metavar="FILE", help="JPEG, PNG, WebP, GIF or AVIF file")
    parser.add_argument("-iu", "--image_url", metavar="URL", help="refused: download the image first")
    parser.add_argument(
        "-b",
        "--background",
        type=Path,
        metavar="FILE.hdf5",
        help=f"photos for Search within Cell, or a folder made by `geoexplain gallery build` (default: ./{BACKGROUND} "
        "if it exists and the model has a retrieval embedding, otherwise the gallery registered with the model)",
    )
    gpu = number(int, 0, 1023, "the number of a GPU, from 0")
    parser.add_argument("-g", "--gpu", type=gpu, default=0, metavar="N", help="GPU to use (default: %(default)s)")
    parser.add_argument(
        "-k",
        "--top_k",
        type=count,
        default=TOP_K,
        metavar="N",
        help="number of similar photos to use (default: %(default)s)",
    )
    parser.add_argument(
        "-e",
        "--eps",
        type=positive_km,
        default=EPS_KM,
        metavar="KM",
        help="photos no farther apart than this form one cluster (default: %(default)s)",
    )
    parser.add_argument("-cpu", "--use_cpu", action="store_true", help="compute on the CPU even if there is a GPU")
    parser.add_argument(
        "-cs",
        "--conf_scale",
        type=distance_km,
        default=25.0,
        metavar="KM",
        help="scale of the confidence (default: 25)",
    )
    for flag, (method, name) in PICTURES.items():
        parser.add_argument(f"-{flag}", f"--{flag}", action="store_true", help=f"write {name}: {title(method)}")
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        help=f"not in the original: another model (default: {PUBLISHED} if it is ready, otherwise {BUNDLED})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="not in the original: folder for the pictures (default: the current one)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Locate the image and draw the requested pictures; return 1 when the image cannot be used."""
    if args.image_url is not None:
        raise ImageError(
            f"--image_url: expected a local file, got the address {args.image_url}; nothing is downloaded: download "
            "the image and give its path with --image_path."
        )
    if args.image_path is None:
        raise DataError("expected an image, got none: add --image_path FILE.")
    name = args.model or default_model()
    model = load_model(name, device(args.gpu, args.use_cpu))
    search = background_search(args, model, name)
    rule = LocalizableRule(args.conf_scale, model.rule.threshold)
    make_folder(args.out)

    def answer(image: str, _name: str) -> Answer:
        picture = open_image(image)
        save_figure(args.out / ORIGINAL, picture, ruler=True)
        lines = []
        if pictures := {method: name for flag, (method, name) in PICTURES.items() if getattr(args, flag)}:
            explanation = explain(picture, model, rule=rule, search=search)
            prediction = explanation.prediction
            lines = write_pictures(explanation, model, pictures, args.out)
        else:
            prediction = locate(picture, model, rule=rule, search=search)
        for doubt in describe_doubt(image, model, prediction):
            complain(doubt)
        lines.append(f"Prediction (Lat,Lon): ({prediction.lat_deg:.4f}, {prediction.lon_deg:.4f})")
        lines.append(f"Confidence: {100 * prediction.density:.1f}%")
        return Answer({}, "\n".join(lines))

    return answer_each([args.image_path], answer, as_json=False)


def default_model() -> str:
    """Return the published model if it is ready; otherwise print a notice and return the bundled one."""
    if PUBLISHED in ready_models():
        return PUBLISHED
    complain(
        f"{PUBLISHED} is not ready (`geoexplain models` says how to get it): {BUNDLED} is used instead, a model of "
        "views of Earth from above."
    )
    return BUNDLED


def device(gpu: int, use_cpu: bool) -> torch.device:
    """Return the GPU of this number if it exists and `use_cpu` is false, otherwise the CPU."""
    exists = torch.cuda.is_available() and gpu < torch.cuda.device_count()
    return torch.device("cuda", gpu) if exists and not use_cpu else torch.device("cpu")


def background_search(args: argparse.Namespace, model: GeoModel, name: str) -> SearchWithinCell | None:
    """Open Search within Cell on the background collection or the registered gallery.

    Without either, prints a notice and returns None. Raises DataError for a collection that does not fit the model.
    """
    file: Path | None = args.background
    if file is None:
        # A collection that happens to be in the folder must not make a model without embedding fail.
        file = BACKGROUND if model.embedder is not None and BACKGROUND.exists() else gallery_of(name)
    if file is None:
        complain(f"no background collection for {model.name}: the answer is made without Search within Cell.")
        return None
    return open_search(model, name, file, top_k=args.top_k, eps_km=args.eps)


def write_pictures(explanation: Explanation, model: GeoModel, pictures: dict[str, str], folder: Path) -> list[str]:
    """Write the picture of each method under its name into a folder; return a line for each."""
    preset = presets()[COMBI_CAM]
    weights = preset.weights(len(explanation.trace.at(preset.level)))
    recipe = Recipe(tuple(pictures), explanation.target, preset.score, preset.level, preset.how, weights)
    heatmaps = draw(explanation, model, recipe)
    view = model.preprocess.view(explanation.image)
    lines = []
    for method, name in pictures.items():
        save_figure(folder / name, half_and_half(view, heatmaps[method].values), ruler=False)
        flat = ", flat: nothing in the image stands out" if heatmaps[method].flat else ""
        lines.append(f"{title(method)}: {folder / name}{flat}")
    return lines


def title(method: str) -> str:
    """Return the display name of a method."""
    return "Combi-CAM" if method == COMBI_CAM else explanation_kind(method).title
