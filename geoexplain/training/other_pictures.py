"""Pictures that are not of a model's kind, as the model sees them: what a gate is fitted against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from geoexplain.errors import ImageError
from geoexplain.imagery.markings import Markings
from geoexplain.imagery.others import GENERATED
from geoexplain.images import Preprocess, open_image

MEASURING = 3
"""Of so many files one measures a gate; the others fit it, and networks are trained on them alone."""


def fitting_files(files: Sequence[Path]) -> list[Path]:
    """The files that may be fitted to, by a network and by its gate."""
    return [file for number, file in enumerate(files) if number % MEASURING]


@dataclass(frozen=True, eq=False)
class OtherPictures:
    """Pictures from files and generated ones.

    files      every third measures the gate, the others fit it
    markings   names to write on generated pages
    generated  how many of each kind of GENERATED fit it, and as many others measure it
    """

    files: Sequence[Path]
    markings: Markings = field(repr=False)
    generated: int = 60

    def fitting(self, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None) -> Iterator[Tensor]:
        """Normalised pictures (n, 3, H, W) to fit a gate on."""
        yield from self._pictures(fitting_files(self.files), preprocess, 0, progress)

    def measuring(self, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None) -> Iterator[Tensor]:
        """Other normalised pictures (n, 3, H, W) to measure it on."""
        yield from self._pictures(self.files[::MEASURING], preprocess, 1, progress)

    def words(self) -> str:
        """What there is to fit on, in words."""
        files = len(fitting_files(self.files))
        generated = f"{self.generated * len(GENERATED):,} generated pictures"
        return f"{files:,} pictures from files and {generated}" if files else generated

    def _pictures(
        self, files: Sequence[Path], preprocess: Preprocess, seed: int, progress: Callable[[int, int], None] | None
    ) -> Iterator[Tensor]:
        for number, file in enumerate(files, 1):
            try:
                yield preprocess.tensor(open_image(file))
            except ImageError:  # what cannot be opened is never asked about either
                continue
            finally:
                if progress is not None:
                    progress(number, len(files))
        generator = torch.Generator().manual_seed(seed)
        for make in GENERATED.values():
            yield preprocess.normalize(make(self.generated, preprocess.size_px, self.markings, generator))
