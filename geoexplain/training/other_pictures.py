"""Pictures that are not of a model's kind, to fit a gate against and to measure it on."""

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
"""Every MEASURING-th file measures a gate; only the others fit it, and train networks."""


def fitting_files(files: Sequence[Path]) -> list[Path]:
    """Return the files that a network may be trained on and its gate fitted to."""
    return [file for number, file in enumerate(files) if number % MEASURING]


@dataclass(frozen=True, eq=False)
class OtherPictures:
    """Pictures from files and generated ones.

    files      every third file measures the gate, the others fit it
    markings   names to write on generated pages
    generated  pictures of each kind in GENERATED that fit the gate; as many others measure it
    """

    files: Sequence[Path]
    markings: Markings = field(repr=False)
    generated: int = 60

    def fitting(self, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None) -> Iterator[Tensor]:
        """Yield normalised pictures (n, 3, H, W) to fit a gate on."""
        yield from self._pictures(fitting_files(self.files), preprocess, 0, progress)

    def measuring(self, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None) -> Iterator[Tensor]:
        """Yield other normalised pictures (n, 3, H, W) to measure the gate on."""
        yield from self._pictures(self.files[::MEASURING], preprocess, 1, progress)

    def words(self) -> str:
        """Return a phrase with the numbers of pictures that a gate is fitted on."""
        files = len(fitting_files(self.files))
        generated = f"{self.generated * len(GENERATED):,} generated pictures"
        return f"{files:,} pictures from files and {generated}" if files else generated

    def _pictures(
        self, files: Sequence[Path], preprocess: Preprocess, seed: int, progress: Callable[[int, int], None] | None
    ) -> Iterator[Tensor]:
        for number, file in enumerate(files, 1):
            try:
                yield preprocess.tensor(open_image(file))
            except ImageError:  # a file that cannot be opened never reaches a gate
                continue
            finally:
                if progress is not None:
                    progress(number, len(files))
        generator = torch.Generator().manual_seed(seed)
        for make in GENERATED.values():
            yield preprocess.normalize(make(self.generated, preprocess.size_px, self.markings, generator))
