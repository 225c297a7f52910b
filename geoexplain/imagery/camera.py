"""Projections from the pixels of a view to the ground: an equidistant map seen from above, or a camera in space."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geoexplain.geography.sphere import EARTH_RADIUS_KM


@dataclass(frozen=True, eq=False)
class Camera:
    """Positions of the cameras of N views.

    tilt_deg    float32 (N,), angle at the centre between the vertical and the camera, in [0, 90)
    toward_deg  float32 (N,), bearing from the centre towards the point below the camera
    nearness    float32 (N,), Earth's radius divided by the distance between centre and camera; 0 is infinitely far
    """

    tilt_deg: Tensor
    toward_deg: Tensor
    nearness: Tensor

    def __getitem__(self, some: slice | Tensor) -> "Camera":
        """Return the selected cameras, in order."""
        return Camera(self.tilt_deg[some], self.toward_deg[some], self.nearness[some])

    def to(self, device: torch.device) -> "Camera":
        """Return the same cameras on a device."""
        return Camera(self.tilt_deg.to(device), self.toward_deg.to(device), self.nearness.to(device))


@dataclass(frozen=True, eq=False)
class Ground:
    """Ground positions of the pixels of N views of S × S pixels; each tensor is (N, S, S).

    lat, lon    position of the pixel in radians; for a ray that misses the Earth, the position nearest to the ray
    slant       cosine of the angle between the vertical there and the direction of the camera, in [0, 1]
    height      0 on the ground; for a ray that misses the Earth, its least height above the ground, in Earth radii
    """

    lat: Tensor
    lon: Tensor
    slant: Tensor
    height: Tensor

    def __getitem__(self, rows: Tensor) -> "Ground":
        """Return the selected views, in order."""
        return Ground(self.lat[rows], self.lon[rows], self.slant[rows], self.height[rows])

    def scatter(self, rows: Tensor, other: "Ground") -> "Ground":
        """Return these views with `rows` (M,) replaced by the M views of another Ground."""
        return Ground(
            self.lat.index_copy(0, rows, other.lat),
            self.lon.index_copy(0, rows, other.lon),
            self.slant.index_copy(0, rows, other.slant),
            self.height.index_copy(0, rows, other.height),
        )


def equidistant_ground(lat_0: Tensor, lon_0: Tensor, footprint_km: Tensor, rotation: Tensor, *, size_px: int) -> Ground:
    """Compute the azimuthal equidistant projection around N centres (Snyder 1987, p. 195).

    lat_0, lon_0, rotation  (N,) in radians; `rotation` is the bearing of the upper edge
    footprint_km            (N,), side of the visible square
    """
    east, south = _ticks(size_px, lat_0.device)
    shape = (-1, 1, 1)
    cos_r, sin_r = rotation.cos().view(shape), rotation.sin().view(shape)
    x = (east * cos_r - south * sin_r) * (footprint_km / EARTH_RADIUS_KM).view(shape)  # (N, S, S), radians east
    y = -(east * sin_r + south * cos_r) * (footprint_km / EARTH_RADIUS_KM).view(shape)
    distance = torch.hypot(x, y).clamp_min(1e-9)
    sine, cosine = distance.sin() / distance, distance.cos()
    sin_0, cos_0 = lat_0.sin().view(shape), lat_0.cos().view(shape)
    up, aside, ahead = cosine * sin_0 + y * sine * cos_0, x * sine, cos_0 * cosine - y * sine * sin_0
    # The arc sine of `up` would be wrong by 2 km near a pole in float32.
    lat = torch.atan2(up, torch.hypot(aside, ahead))
    lon = lon_0.view(shape) + torch.atan2(aside, ahead)
    return Ground(lat, lon, torch.ones_like(lat), torch.zeros_like(lat))


def camera_ground(
    lat_0: Tensor, lon_0: Tensor, footprint_km: Tensor, rotation: Tensor, *, camera: Camera, size_px: int
) -> Ground:
    """Compute the perspective projection of N cameras that look at N centres.

    `footprint_km` (N,) is the width of the view in the plane through the centre perpendicular to the line of sight. The
    bearing `rotation`, along the ground, points straight up in the view. Other arguments are those of
    `equidistant_ground`.

    A ray through the point P of that plane meets the sphere at P + u D, |P + u D| = 1, with D = d − nearness · (P −
    centre) and d the unit vector from the centre to the camera. This form stays exact for distant cameras.
    """
    tilt, toward = torch.deg2rad(camera.tilt_deg), torch.deg2rad(camera.toward_deg)
    up, east, north = _local_axes(lat_0, lon_0)  # (N, 3) each
    toward_camera = tilt.cos()[:, None] * up + tilt.sin()[:, None] * _bearing(toward, north, east)
    upper = _bearing(rotation, north, east)
    upper = upper - (upper * toward_camera).sum(-1, keepdim=True) * toward_camera
    upper = upper / upper.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    right = torch.linalg.cross(upper, toward_camera)

    columns, rows = _ticks(size_px, lat_0.device)
    side = (footprint_km / EARTH_RADIUS_KM).view(-1, 1, 1)
    x, y = columns * side, -rows * side  # (N, S, S), Earth radii on the plane, to the right and up
    near = camera.nearness.view(-1, 1, 1)

    def component(axis: int) -> tuple[Tensor, Tensor]:
        r, w = right[:, axis].view(-1, 1, 1), upper[:, axis].view(-1, 1, 1)
        offset = x * r + y * w
        return up[:, axis].view(-1, 1, 1) + offset, toward_camera[:, axis].view(-1, 1, 1) - near * offset

    points, rays = zip(*(component(axis) for axis in range(3)), strict=True)
    along = sum(p * d for p, d in zip(points, rays, strict=True))
    ray_squared = sum(d * d for d in rays)
    above = sum(p * p for p in points) - 1
    discriminant = along * along - ray_squared * above
    u = (discriminant.clamp_min(0).sqrt() - along) / ray_squared
    # The camera is at u = 1 / nearness and does not see intersections behind it.
    behind = near * u > 1
    u = torch.where(behind, 1 / near, u)
    qx, qy, qz = (p + u * d for p, d in zip(points, rays, strict=True))
    # For a ray that misses the Earth, q is its point closest to the Earth's centre.
    level = qx * qx + qy * qy
    length = torch.sqrt(level + qz * qz).clamp_min(1e-9)
    slant = (qx * rays[0] + qy * rays[1] + qz * rays[2]) / (length * ray_squared.sqrt())
    height = torch.where((discriminant < 0) | behind, (length - 1).clamp_min(1e-7), torch.zeros_like(length))
    return Ground(torch.atan2(qz, level.sqrt()), torch.atan2(qy, qx), slant.clamp(0, 1), height)


def _ticks(size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the centres of the pixels, from −½ to ½, to the right and down, (S, S) each."""
    ticks = (torch.arange(size_px, device=device) + 0.5) / size_px - 0.5
    down, right = torch.meshgrid(ticks, ticks, indexing="ij")
    return right, down


def _local_axes(lat: Tensor, lon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    sin_lat, cos_lat, sin_lon, cos_lon = lat.sin(), lat.cos(), lon.sin(), lon.cos()
    up = torch.stack([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat], dim=-1)
    east = torch.stack([-sin_lon, cos_lon, torch.zeros_like(lat)], dim=-1)
    north = torch.stack([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat], dim=-1)
    return up, east, north


def _bearing(bearing: Tensor, north: Tensor, east: Tensor) -> Tensor:
    return bearing.cos()[:, None] * north + bearing.sin()[:, None] * east
