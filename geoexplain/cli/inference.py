"""`geoexplain inference`: the options of the original inference.py, and its five pictures."""

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
"""The model that the original inference.py runs."""

BACKGROUND = Path("back_coll_features.hdf5")

PICTURES = {
    "combicam": (COMBI_CAM, "combi_cam.png"),
    "scorecam": ("score-cam", "score_cam.png"),
    "gradcam": ("grad-cam", "grad_cam.png"),
    "gradcamplusplus": ("grad-cam++", "gradcamplusplus.png"),
    "layercam": ("layer-cam", "layercam.png"),
}
"""The original's flags, each with its method and the picture that it writes."""

ORIGINAL = "figure_ori.png"

EPILOG = f"""\
The options, the names of the pictures and the last two lines are those of inference.py in Combi-CAM (Faget, Lisani,
Colom, VISAPP 2026) and visloc-estimation (Kordopatis-Zilos et al., ICMR 2021). --out DIR gets {ORIGINAL}, the image
itself, and one picture per method asked for:
  {", ".join(name for _, name in PICTURES.values())}
Each is the map in jet colours (OpenCV's, as there), half and half with what the network saw, at that size, on a figure
of 8 × 6 inches. The explained cell is the most probable one, by its probability. Combi-CAM adds up the raw
Grad-CAMs of all blocks; the others are of the last block. The last lines are, for example:
  Prediction (Lat,Lon): (45.7640, 4.8357)
  Confidence: 12.3%
the second the probability within --conf_scale km of the most probable cell.

What is done otherwise than in the original, on purpose:
  - Grad-CAM++ follows its published formula, and is not drawn mirrored.
  - Score-CAM scales its masks to 0–1, and runs many at a time.
  - Every map explains the most probable cell, by its number: no method chooses a cell of its own.
  - A map without structure is said to be flat, and drawn in one colour, where the original divides 0 by 0.
  - The image under the map has its true colours; the original stretches the normalised ones.
  - --image_url is refused: nothing is fetched by address.
  - Without a GPU the CPU computes, --use_cpu or not. Pictures go to --out, not to /content.
  - --conf_scale takes any distance, and the background collection may be left out.
`geoexplain explain` draws more, of any cell."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain inference`."""
    parser.description = "Take the options of the original inference.py, and write its five pictures."
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
        "-k", "--top_k", type=count, default=TOP_K, metavar="N", help="similar photos that count (default: %(default)s)"
    )
    parser.add_argument(
        "-e",
        "--eps",
        type=positive_km,
        default=EPS_KM,
        metavar="KM",
        help="photos no farther apart than this are of one cluster (default: %(default)s)",
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
    """Locate the image and draw what is asked for; 1 when the image cannot be used."""
    if args.image_url is not None:
        raise ImageError(
            "--image_url: expected a file, got an address, and nothing is fetched from here: download the image and "
            "give its path with --image_path."
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
    """The published model when it is ready, otherwise, with a sentence, the bundled one."""
    if PUBLISHED in ready_models():
        return PUBLISHED
    complain(
        f"{PUBLISHED} is not ready (`geoexplain models` says how to get it): {BUNDLED} answers, which knows views of "
        "Earth from above."
    )
    return BUNDLED


def device(gpu: int, use_cpu: bool) -> torch.device:
    """The GPU of a number when there is one and it is wanted, otherwise the CPU."""
    there = torch.cuda.is_available() and gpu < torch.cuda.device_count()
    return torch.device("cuda", gpu) if there and not use_cpu else torch.device("cpu")


def background_search(args: argparse.Namespace, model: GeoModel, name: str) -> SearchWithinCell | None:
    """Search within Cell through the background collection, or the gallery registered; None, with a sentence, without.

    Raises DataError for a collection that does not fit the model.
    """
    file: Path | None = args.background
    if file is None:
        # A collection that lies in the folder by chance is no reason to fail with a model of another kind.
        file = BACKGROUND if model.embedder is not None and BACKGROUND.exists() else gallery_of(name)
    if file is None:
        complain(f"no background collection for {model.name}: the answer is made without Search within Cell.")
        return None
    return open_search(model, name, file, top_k=args.top_k, eps_km=args.eps)


def write_pictures(explanation: Explanation, model: GeoModel, pictures: dict[str, str], folder: Path) -> list[str]:
    """Write the picture of each method under its name into a folder; returns a line for each."""
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
    """What people call a method."""
    return "Combi-CAM" if method == COMBI_CAM else explanation_kind(method).title
