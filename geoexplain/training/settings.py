"""The settings of a training run, the schedule that follows from them, and presets from papers."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from geoexplain.errors import DataError
from geoexplain.words import listed, printable

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "milestones")
PRECISIONS = ("bf16", "float32")

LOWEST_RATE = 0.01
"""Final value of the cosine, as a share of the learning rate."""


@dataclass(frozen=True)
class Phase:
    """A part of training at one resolution.

    size_px  side of the square images
    batch    images that go through the network together, over all processes
    epochs   length of the phase in epochs, or None if `images` is given
    images   length of the phase in images, or None if `epochs` is given

    Raises DataError unless exactly one of the last two is given and positive, `size_px` is from 32 to 1024, and `batch`
    is at least 2.
    """

    size_px: int
    batch: int
    epochs: float | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        length = self.epochs if self.images is None else self.images
        if (self.epochs is None) == (self.images is None) or not length or not 0 < length < math.inf:
            raise DataError(
                f"phases: expected either epochs or images, more than none of them, got {self.epochs} and "
                f"{self.images}: give one of the two."
            )
        # Batch normalisation needs more than one image.
        if not 32 <= self.size_px <= 1024 or self.batch < 2:
            raise DataError(
                "phases: expected 32 to 1024 px and at least 2 images per batch, "
                f"got {self.size_px} px and {self.batch}: choose others."
            )


@dataclass(frozen=True)
class Training:
    """All settings that affect the result, apart from the images, the partitioning and the initial weights.

    head           a name of HEADS
    bandwidth_km   width of the soft targets around the truth, for heads that use them
    accumulate     batches per step of the optimizer
    schedule       "cosine": warm-up, the learning rate, then a cosine down to 1 % of it over the last `cooldown` of the
                   pixels processed; "milestones": warm-up, then the rate times `factor` at each of `milestones`, in
                   epochs
    decay_all      whether weight decay applies to biases and norms, too
    precision      "bf16" or "float32"
    padding_for_px  as for `create_backbone`
    average_decay  decay of the moving average of the weights, which is validated and released; 0: no averaging

    Raises DataError for values out of range.
    """

    architecture: str = "efficientnet_b0"
    head: str = "multi"
    bandwidth_km: float = 150.0
    phases: tuple[Phase, ...] = (Phase(224, 64, epochs=10),)
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 0.02
    decay_all: bool = False
    schedule: str = "cosine"
    cooldown: float = 1.0
    milestones: tuple[float, ...] = ()
    factor: float = 0.5
    warmup_images: int = 15_000
    gradient_clip: float | None = 2.0
    precision: str = "bf16"
    average_decay: float = 0.99
    padding_for_px: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise DataError(f"{what}: expected {', '.join(known)}, got {value!r}: choose one of these.")
        positive = min(self.learning_rate, self.bandwidth_km) > 0 and self.accumulate >= 1 and self.phases
        shares = 0 <= self.average_decay < 1 and 0 < self.cooldown <= 1
        if not positive or not shares or min(self.weight_decay, self.warmup_images) < 0:
            raise DataError(
                "expected phases, a learning rate and a bandwidth above 0, at least 1 batch per step, an average's "
                "decay from 0 to 1, a cooldown above 0 and at most 1, a weight decay and a warm-up of at least 0, "
                f"got {self}: choose others."
            )

    def as_dict(self, unit: str) -> dict[str, Any]:
        """Return the settings as plain data for JSON; keys say `unit`, "photos" or "views", in place of "images"."""
        fields = asdict(self)
        fields["phases"] = [
            {unit if key == "images" else key: value for key, value in p.items() if value is not None}
            for p in fields["phases"]
        ]
        return {f"warmup_{unit}" if key == "warmup_images" else key: value for key, value in fields.items()}


@dataclass(frozen=True)
class Schedule:
    """The steps of a run, counted from 0.

    epoch_images  images per epoch; None for a source without epochs, which renders images endlessly

    Raises DataError for fewer than two images, and for settings in epochs if the source has none.
    """

    settings: Training
    epoch_images: int | None

    def __post_init__(self) -> None:
        if self.epoch_images is None and (
            self.settings.schedule == "milestones" or any(phase.images is None for phase in self.settings.phases)
        ):
            raise DataError(
                "phases: expected lengths in images and no milestones, since views have no epochs, got epochs: "
                "say how many views."
            )
        if self.epoch_images is not None and self.epoch_images < 2:
            raise DataError(f"expected at least 2 photos to train on, got {self.epoch_images}: give more photos.")

    @property
    def lengths(self) -> list[int]:
        """The number of steps of every phase, at least one each."""
        return [max(1, math.ceil(self._images(p) / self.step_images(p))) for p in self.settings.phases]

    @property
    def steps(self) -> int:
        """The number of steps of all phases."""
        return sum(self.lengths)

    @property
    def images(self) -> int:
        """The number of images of all steps."""
        return self.seen(self.steps)

    def step_images(self, phase: Phase) -> int:
        """Return the number of images per step of the optimizer in a phase."""
        return phase.batch * self.settings.accumulate

    def phase_at(self, step: int) -> tuple[int, int]:
        """Return the number of a step's phase, and the steps of that phase before it; past the end, the last phase."""
        for number, end in enumerate(accumulate(self.lengths)):
            if step < end:
                return number, step - (end - self.lengths[number])
        return len(self.lengths) - 1, self.lengths[-1]

    def seen(self, step: int) -> int:
        """Return the number of images seen before a step, including those that could not be read."""
        return sum(n * self.step_images(p) for n, p in self._done(step))

    def work(self, step: int) -> float:
        """Return the number of pixels processed before a step; the cosine and the time left are based on it."""
        return float(sum(n * self.step_images(p) * p.size_px**2 for n, p in self._done(step)))

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then the schedule.

        Before the cosine begins, the rate does not depend on the length of the run, which may therefore be changed.
        """
        settings, seen = self.settings, self.seen(step)
        if seen < settings.warmup_images:
            return settings.learning_rate * (seen + 1) / settings.warmup_images
        if settings.schedule == "milestones":
            passed = sum(seen >= milestone * (self.epoch_images or 0) for milestone in settings.milestones)
            return settings.learning_rate * settings.factor**passed
        left = 1 - self.work(step) / self.work(self.steps)
        if left >= settings.cooldown:
            return settings.learning_rate
        cosine = 0.5 * (1 - math.cos(math.pi * left / settings.cooldown))
        return settings.learning_rate * (LOWEST_RATE + (1 - LOWEST_RATE) * cosine)

    def _images(self, phase: Phase) -> float:
        return phase.images if phase.epochs is None else phase.epochs * self.epoch_images  # type: ignore[return-value,operator]

    def _done(self, step: int) -> list[tuple[int, Phase]]:
        done = []
        for length, phase in zip(self.lengths, self.settings.phases, strict=True):
            done.append((max(0, min(step, length)), phase))
            step -= length
        return done


VIEW_TRAINING = Training(
    architecture="tf_efficientnet_lite0",
    head="mvmf-soft",
    phases=(Phase(96, 96, images=240_000), Phase(160, 64, images=50_000), Phase(224, 64, images=20_000)),
    cooldown=0.3,
    average_decay=0.998,
)
"""Default settings for a model of views of Earth from above."""

PRESETS: dict[str, Training] = {
    # Theiner, Müller-Budack, Ewerth, WACV 2022: the optimizer, the milestones, 20 epochs and batches of 128 are those
    # of geo_classification/configs/example_semp.yml in github.com/jtheiner/semantic_geo_partitioning (whose example is
    # a ResNet-50 at 224 px); network, size and padding are those of the published EfficientNet-B4.
    "theiner-2022": Training(
        architecture="tf_efficientnet_b4",
        padding_for_px=300,
        head="multi",
        phases=(Phase(300, 128, epochs=20),),
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        decay_all=True,
        schedule="milestones",
        milestones=(4, 8, 12, 13, 14, 15, 17, 19, 20),
        factor=0.5,
        warmup_images=0,
        gradient_clip=None,
        average_decay=0.0,
    ),
    # Kordopatis-Zilos et al., ICMR 2021: network, size, head and loss are those of github.com/mever-team/
    # visloc-estimation, which does not publish its training; optimizer, rate, batch and epochs are chosen here.
    "certh-2021": Training(
        architecture="efficientnet_b4",
        head="mvmf",
        phases=(Phase(300, 128, epochs=10),),
        optimizer="adam",
        learning_rate=1e-4,
        weight_decay=0.0,
        warmup_images=0,
        gradient_clip=None,
        average_decay=0.999,
    ),
    # A few minutes on two cores: a shortened version of the settings of the bundled model of views.
    "quick-cpu": Training(
        architecture="efficientnet_b0",
        head="multi",
        phases=(Phase(96, 64, images=16_000), Phase(128, 64, images=3_000)),
        warmup_images=1_500,
    ),
}
"""Settings by name."""


def from_plain(fields: Mapping[str, Any]) -> Training:
    """Return settings from the fields that `dataclasses.asdict` gave. Raises DataError for other fields."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    try:
        return Training(**{**plain, "phases": tuple(Phase(**phase) for phase in fields["phases"])})
    except (KeyError, TypeError) as error:
        raise DataError(
            f"expected the settings of a run of this version, got {printable(listed(fields))} ({error}): begin again, "
            "or use the version that the run was begun with."
        ) from None
