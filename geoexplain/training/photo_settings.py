"""What decides the outcome of training on photos, and the settings of papers by name."""

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from geoexplain.errors import DataError
from geoexplain.training.photo_augmentation import Augmentation

OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "milestones")
PRECISIONS = ("bf16", "float32")

DEFAULT_AUGMENTATION = Augmentation()

LOWEST_RATE = 0.01
"""Where the cosine ends, as a share of the learning rate."""


@dataclass(frozen=True)
class PhotoPhase:
    """A stretch of training at one resolution.

    size_px  side of the square crops
    batch    photos that go through the network together, over all processes
    epochs   times that every photo is seen; None: see `photos`
    photos   photos seen in all; None: see `epochs`

    Raises DataError unless exactly one of the last two is given, and all are positive.
    """

    size_px: int
    batch: int
    epochs: float | None = None
    photos: int | None = None

    def __post_init__(self) -> None:
        length = self.epochs if self.photos is None else self.photos
        if (self.epochs is None) == (self.photos is None) or not length or not 0 < length < math.inf:
            raise DataError(
                f"phases: expected either epochs or photos, more than none of them, got {self.epochs} and "
                f"{self.photos}: give one of the two."
            )
        # Batch normalisation has nothing to normalise by in a batch of one.
        if not 32 <= self.size_px <= 1024 or self.batch < 2:
            raise DataError(
                "phases: expected 32 to 1024 px and at least 2 photos per batch, "
                f"got {self.size_px} px and {self.batch}: choose others."
            )


@dataclass(frozen=True)
class PhotoTraining:
    """Everything that decides the outcome, given the photos and the partitioning.

    head           a name of HEADS
    accumulate     batches per step of the optimiser
    schedule       "cosine": warm-up, then a cosine over the pixels processed down to 1 %; "milestones": warm-up, then
                   the rate times `factor` at each of `milestones`, in epochs
    decay_all      whether weight decay applies to biases and norms, too
    precision      "bf16" or "float32"
    augmentation   what is changed in a photo each time it is seen; None: nothing
    padding_for_px  as for `create_backbone`
    average_decay  of the moving average that is validated and released; 0: the weights themselves

    Raises DataError for values out of range.
    """

    architecture: str = "efficientnet_b0"
    head: str = "multi"
    phases: tuple[PhotoPhase, ...] = (PhotoPhase(224, 64, epochs=10),)
    accumulate: int = 1
    optimiser: str = "adamw"
    learning_rate: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 0.02
    decay_all: bool = False
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    factor: float = 0.5
    warmup_photos: int = 15_000
    gradient_clip: float | None = 2.0
    precision: str = "bf16"
    average_decay: float = 0.99
    augmentation: Augmentation | None = DEFAULT_AUGMENTATION
    padding_for_px: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("optimiser", self.optimiser, OPTIMISERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise DataError(f"{what}: expected {', '.join(known)}, got {value!r}: choose one of these.")
        positive = self.learning_rate > 0 and self.accumulate >= 1 and self.phases
        if not positive or not 0 <= self.average_decay < 1 or min(self.weight_decay, self.warmup_photos) < 0:
            raise DataError(
                "expected phases, a learning rate above 0, at least 1 batch per step, an average's decay from 0 to 1, "
                f"a weight decay and a warm-up of at least 0, got {self}: choose others."
            )


@dataclass(frozen=True)
class Schedule:
    """The steps of a run over `photos` photos: step n is the one after n steps."""

    settings: PhotoTraining
    photos: int

    def __post_init__(self) -> None:
        if self.photos < 2:
            raise DataError(f"expected at least 2 photos to train on, got {self.photos}: give more photos.")

    @property
    def lengths(self) -> list[int]:
        """Steps of every phase, at least one each."""
        return [max(1, math.ceil(self._photos(p) / self.step_photos(p))) for p in self.settings.phases]

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(self.lengths)

    def step_photos(self, phase: PhotoPhase) -> int:
        """Photos per step of the optimiser in a phase."""
        return phase.batch * self.settings.accumulate

    def phase_at(self, step: int) -> tuple[int, int]:
        """The phase of a step, and how many steps of it come before; past the end the last phase."""
        for number, end in enumerate(accumulate(self.lengths)):
            if step < end:
                return number, step - (end - self.lengths[number])
        return len(self.lengths) - 1, self.lengths[-1]

    def seen(self, step: int) -> int:
        """Photos seen before a step, those that could not be read included."""
        return sum(n * self.step_photos(p) for n, p in self._done(step))

    def work(self, step: int) -> float:
        """Pixels processed before a step: what the cosine and the time left are reckoned by."""
        return float(sum(n * self.step_photos(p) * p.size_px**2 for n, p in self._done(step)))

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then the schedule."""
        settings, seen = self.settings, self.seen(step)
        if seen < settings.warmup_photos:
            return settings.learning_rate * (seen + 1) / settings.warmup_photos
        if settings.schedule == "milestones":
            passed = sum(seen >= milestone * self.photos for milestone in settings.milestones)
            return settings.learning_rate * settings.factor**passed
        done = self.work(step) / self.work(self.steps)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return settings.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * cosine)

    def _photos(self, phase: PhotoPhase) -> float:
        return phase.photos if phase.epochs is None else phase.epochs * self.photos  # type: ignore[return-value]

    def _done(self, step: int) -> list[tuple[int, PhotoPhase]]:
        done = []
        for length, phase in zip(self.lengths, self.settings.phases, strict=True):
            done.append((max(0, min(step, length)), phase))
            step -= length
        return done


PRESETS: dict[str, PhotoTraining] = {
    # Theiner, Müller-Budack, Ewerth, WACV 2022: the optimiser, the milestones, 20 epochs and batches of 128 are those
    # of geo_classification/configs/example_semp.yml in github.com/jtheiner/semantic_geo_partitioning (whose example is
    # a ResNet-50 at 224 px); network and size are those of the published EfficientNet-B4, padded as that was.
    "theiner-2022": PhotoTraining(
        architecture="tf_efficientnet_b4",
        padding_for_px=300,
        head="multi",
        phases=(PhotoPhase(300, 128, epochs=20),),
        optimiser="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        decay_all=True,
        schedule="milestones",
        milestones=(4, 8, 12, 13, 14, 15, 17, 19, 20),
        factor=0.5,
        warmup_photos=0,
        gradient_clip=None,
        average_decay=0.0,
    ),
    # Kordopatis-Zilos et al., ICMR 2021: network, size, head and loss are those of github.com/mever-team/
    # visloc-estimation, which does not publish its training; optimiser, rate, batch and epochs are chosen here.
    "certh-2021": PhotoTraining(
        architecture="efficientnet_b4",
        head="mvmf",
        phases=(PhotoPhase(300, 128, epochs=10),),
        optimiser="adam",
        learning_rate=1e-4,
        weight_decay=0.0,
        warmup_photos=0,
        gradient_clip=None,
        average_decay=0.999,
    ),
    # A few minutes on two cores: what the bundled model of views was trained with, cut short.
    "quick-cpu": PhotoTraining(
        architecture="efficientnet_b0",
        head="multi",
        phases=(PhotoPhase(96, 64, photos=16_000), PhotoPhase(128, 64, photos=3_000)),
        warmup_photos=1_500,
    ),
}
"""Settings by name."""


def from_plain(fields: dict[str, Any]) -> PhotoTraining:
    """Settings from what `dataclasses.asdict` made of them, read back from JSON."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    plain["phases"] = tuple(PhotoPhase(**phase) for phase in fields["phases"])
    if fields["augmentation"] is not None:
        changed = fields["augmentation"]
        ranges = {key: tuple(changed[key]) for key in ("area", "aspect")}
        plain["augmentation"] = Augmentation(**{**changed, **ranges})
    return PhotoTraining(**plain)
