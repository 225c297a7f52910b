"""Search within Cell: refine a prediction by the positions of the most similar photos in the top cell.

Kordopatis-Zilos et al., ICMR 2021; settings and tie-breaking are those of their published code.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.files import Assignments
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km, spherical_mean
from geoexplain.locator.gallery import Gallery, open_gallery
from geoexplain.locator.model import GeoModel

TOP_K, EPS_KM = 10, 1.0
"""The published settings: number of photos that are clustered, and maximum distance of neighbours in a cluster."""

ROWS_AT_A_TIME = 1024
"""Number of embeddings in memory at a time: 7 MiB of 1,792 float32."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Result of Search within Cell: the n most similar photos of a cell, most similar first, and the point they give.

    cell              index of the searched cell
    rows              int64 (n,), rows of the photos in the gallery, 1 ≤ n ≤ top_k
    similarity        float32 (n,), dot products of the embeddings, in [-1, 1] for embeddings of length 1
    positions_deg     float64 (n, 2), latitudes and longitudes
    chosen            bool (n,), members of the largest cluster
    lat_deg, lon_deg  the answer: spherical mean of the chosen photos
    moved_km          distance of the answer from the centre of the cell
    searched          number of photos in the cell
    """

    cell: int
    rows: NDArray[np.int64] = field(repr=False)
    similarity: NDArray[np.float32] = field(repr=False)
    positions_deg: NDArray[np.float64] = field(repr=False)
    chosen: NDArray[np.bool_] = field(repr=False)
    lat_deg: float
    lon_deg: float
    moved_km: float
    searched: int


@dataclass(frozen=True)
class SearchWithinCell:
    """Search within Cell with its gallery and settings.

    top_k   number of most similar photos that are clustered, ≥ 1; 10 in the paper
    eps_km  maximum distance of neighbours in a cluster, > 0; 1 km in the paper

    Raises DataError for settings out of range.
    """

    gallery: Gallery
    top_k: int = TOP_K
    eps_km: float = EPS_KM

    def __post_init__(self) -> None:
        _check_settings(self.top_k, self.eps_km)

    def __call__(self, model: GeoModel, cell: int, features: Tensor) -> Neighbours | None:
        """Search a cell for photos similar to an image with the features (D,) or (1, D); None if it has no photos.

        Raises DataError if the gallery was made with another model.
        """
        maker = self.gallery.model
        if maker is not None and maker != model.name:
            raise DataError(
                f"gallery {self.gallery.name}: expected embeddings by model {model.name}, got those by {maker}: "
                "build the gallery with this model, or choose the other model."
            )
        embedding = model.embedding(features.reshape(1, -1))[0].detach().float().cpu().numpy()
        center_deg = model.partition.centers_deg[cell]
        return search_within_cell(self.gallery, embedding, cell, center_deg, top_k=self.top_k, eps_km=self.eps_km)


def checked_search(
    model: GeoModel,
    path: Path,
    assignments: Assignments | None = None,
    *,
    top_k: int = TOP_K,
    eps_km: float = EPS_KM,
) -> SearchWithinCell:
    """Open the gallery at a path for Search within Cell with a model; `assignments` are those of `open_gallery`.

    Raises DataError if there is no gallery, or if it is damaged, has other cells, or was made with another model.
    """
    gallery = open_gallery(path, model.partition, assignments)
    length = model.embedding(torch.zeros(1, model.backbone.feature_dim)).shape[1]
    if gallery.dim != length or gallery.model not in {None, model.name}:
        raise DataError(
            f"gallery {path.name}: expected embeddings of {length} numbers by {model.name}, got {gallery.dim} by "
            f"{gallery.model or 'a model it does not name'}: build one with this model, or choose the other model."
        )
    return SearchWithinCell(gallery, top_k, eps_km)


def search_within_cell(
    gallery: Gallery,
    embedding: NDArray[np.float32],
    cell: int,
    center_deg: NDArray[np.float64],
    *,
    top_k: int = TOP_K,
    eps_km: float = EPS_KM,
) -> Neighbours | None:
    """Find the position of an image from the photos of one cell; None if the gallery has no photos in the cell.

    The `top_k` most similar photos are clustered by position: neighbours within `eps_km` along the great circle belong
    to one cluster (DBSCAN with min_samples 1; R = 6371 km). The answer is the spherical mean of the largest cluster; of
    equally large clusters, the one with the most similar photo is used.

    Args:
        gallery: photos with their positions.
        embedding: the image's embedding, float32 (E,), E = gallery.dim.
        cell: index of the cell to search.
        center_deg: the cell's centre (2,), for `moved_km`.
        top_k: ≥ 1; equally similar photos are taken in the gallery's order.
        eps_km: > 0.

    Raises:
        DataError: the embedding is not finite or has another length than the gallery's, a setting is out of range, or
            the gallery cannot be read.
    """
    _check_settings(top_k, eps_km)
    if embedding.shape != (gallery.dim,) or not np.isfinite(embedding).all():
        raise DataError(
            f"gallery {gallery.name}: expected an embedding of {gallery.dim} finite numbers, got shape "
            f"{embedding.shape} with {int(np.isfinite(embedding).sum())} finite ones: does it come from another model?"
        )
    in_cell = gallery.rows_of(cell)
    if not len(in_cell):
        return None
    rows, similarity = _most_similar(gallery, embedding, in_cell, top_k)
    positions_deg = gallery.positions_deg(rows)
    chosen = largest_cluster(positions_deg, eps_km)
    answer_deg = spherical_mean(positions_deg[chosen])
    return Neighbours(
        cell=cell,
        rows=rows,
        similarity=similarity,
        positions_deg=positions_deg,
        chosen=chosen,
        lat_deg=float(answer_deg[0]),
        lon_deg=float(answer_deg[1]),
        moved_km=float(great_circle_km(center_deg, answer_deg)),
        searched=len(in_cell),
    )


def largest_cluster(positions_deg: NDArray[np.float64], eps_km: float) -> NDArray[np.bool_]:
    """Return a mask, bool (n,), of the points (n, 2) in degrees, n ≥ 1, that belong to the largest cluster.

    With a minimum of one sample, DBSCAN connects points by chains of steps of at most `eps_km`. Of equally large
    clusters, the one whose first point comes first is used.
    """
    from sklearn.cluster import DBSCAN  # noqa: PLC0415 - takes a second to import, and most calls do not search

    clusters = DBSCAN(eps=eps_km / EARTH_RADIUS_KM, min_samples=1, metric="haversine", algorithm="ball_tree")
    labels = clusters.fit_predict(np.radians(positions_deg))
    # Labels are in the order of the clusters' first points, and argmax returns the first of equal counts.
    return np.asarray(labels == np.bincount(labels).argmax())


def _most_similar(
    gallery: Gallery, embedding: NDArray[np.float32], in_cell: NDArray[np.int64], top_k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows most similar to an embedding and their similarities, best first, reading the cell in blocks."""
    rows = np.empty(0, dtype=np.int64)
    similarity = np.empty(0, dtype=np.float32)
    for start in range(0, len(in_cell), ROWS_AT_A_TIME):
        block = in_cell[start : start + ROWS_AT_A_TIME]
        with np.errstate(over="ignore", invalid="ignore"):
            alike = gallery.features(block) @ embedding
        if not np.isfinite(alike).all():
            raise DataError(
                f"gallery {gallery.name}: expected embeddings with finite dot products, got some that are too large to "
                "be compared: get the gallery again."
            )
        rows, similarity = np.concatenate([rows, block]), np.concatenate([similarity, alike])
        best = np.argsort(-similarity, kind="stable")[:top_k]
        rows, similarity = rows[best], similarity[best]
    return rows, similarity


def _check_settings(top_k: int, eps_km: float) -> None:
    if not isinstance(top_k, int | np.integer) or top_k < 1:
        raise DataError(f"top_k: expected a whole number of at least 1, got {top_k}: the published setting is {TOP_K}.")
    if not (eps_km > 0 and math.isfinite(eps_km)):
        raise DataError(f"eps_km: expected a distance above 0 km, got {eps_km}: the published setting is {EPS_KM}.")
