"""The models that the studio offers, and the few of them that are in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import torch

from geoexplain.errors import DataError, GeoExplainError
from geoexplain.geography.addresses.cell_places import NATURE, nature_tree
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator import zoo
from geoexplain.locator.model import GeoModel
from geoexplain.locator.registry import open_search
from geoexplain.locator.retrieval import SearchWithinCell

KEPT = 2
"""How many models stay in memory, unless a server is started with another number."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values made on demand, of which the ones asked for last are kept. Threads may ask at the same time.

    What is not kept is made one at a time, and only after the oldest has been let go: never are there more than `keep`
    in here, not even for a moment, and two who ask for the same value wait for one that is made once. A failure is
    passed on, and nothing is remembered of it.
    """

    def __init__(self, make: Callable[[Key], Value], keep: int):
        if keep < 1:
            raise DataError(f"expected to keep at least 1 model in memory, got {keep}.")
        self._make, self._keep = make, keep
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def __getitem__(self, key: Key) -> Value:
        """The value of a key, made if need be. Raises what making it raises."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        with self._making:
            with self._lock:
                if key in self._held:  # whoever was here before has made it
                    self._held.move_to_end(key)
                    return self._held[key]
                while len(self._held) >= self._keep:
                    self._held.popitem(last=False)
            value = self._make(key)
            with self._lock:
                self._held[key] = value
            return value

    @property
    def held(self) -> tuple[Key, ...]:
        """The keys in memory, the one asked for last at the end."""
        with self._lock:
            return tuple(self._held)


@dataclass(frozen=True)
class Offer:
    """One model of the menu.

    name            what the browser and scripts call it
    title, purpose  what people read; one line what kind of image it is for
    ready           whether it can be chosen; otherwise `note` says in a sentence how to obtain it
    source          the name or path that loads it
    gallery         where its gallery for Search within Cell is, if it has one
    changed_s       when its file was last written: a model that was added anew under its name is another one
    """

    name: str
    title: str
    purpose: str
    ready: bool
    note: str
    source: str
    gallery: Path | None
    changed_s: float = 0.0


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    search        looks through its gallery, if it has one
    trouble       why it cannot
    naturalearth  a folder of Natural Earth's files, for the natural places that its cells lie in
    """

    model: GeoModel
    search: SearchWithinCell | None = None
    trouble: str = ""
    naturalearth: Path | None = None

    @cached_property
    def trees(self) -> tuple[PlaceTree, ...]:
        """The places that the model's cells lie in, the natural ones too where they are known; found once."""
        own = self.model.trees
        if self.naturalearth is None or any(tree.name == NATURE for tree in own):
            return own
        return (*own, nature_tree(self.model.partition, self.naturalearth))


class Models:
    """The models of one studio: which there are, and the few in memory.

    start         the model that people meet first: a name in the zoo, the path of a file, or a model. A model that is
                  given stays in memory besides the `keep` others, since nobody could load it again.
    keep          how many may be in memory, at least 1
    device        where they lie; None takes the GPU when there is one
    load          loads a model by its name or path
    naturalearth  a folder of Natural Earth's files: cells are then also in deserts, ranges and seas

    Raises CheckpointError or DataError when the first model cannot be loaded.
    """

    def __init__(
        self,
        start: GeoModel | str | Path,
        *,
        keep: int = KEPT,
        device: str | torch.device | None = None,
        load: Callable[[str, str | torch.device | None], GeoModel] = zoo.load_model,
        naturalearth: Path | None = None,
    ):
        self._device, self._load, self._naturalearth = device, load, naturalearth
        self._recent: Recent[Offer, Loaded] = Recent(self._loaded, keep)
        self._given: Loaded | None = None
        self._at_hand: dict[Offer, GeoModel] = {}
        known = {row.name: row for row in _in_the_zoo()}
        if isinstance(start, GeoModel):
            row = known.get(start.name)
            self._first = row or _offer_of(start, start.name, "")
            self._given = self._with_gallery(start, self._first)
        elif str(start) in known and known[str(start)].ready:
            self._first = known[str(start)]
        else:
            model = load(str(start), device)
            self._first = _offer_of(model, f"file:{model.name}", str(start))
            self._at_hand[self._first] = model
        for tree in self[self.start].trees:
            _ = tree.borders[:1]  # what is wrong with them is to be said, and loaded, now and not for the first visitor

    def offered(self) -> list[Offer]:
        """Every model that is known at this moment, ready or not, the one that people meet first at the head."""
        return [self._first, *(row for row in _in_the_zoo() if row.name != self._first.name)]

    @property
    def start(self) -> str:
        """The name of the model that people meet first."""
        return self._first.name

    def __getitem__(self, name: object) -> Loaded:
        """A model by its name among those offered, loaded if need be.

        Raises DataError for a name that is not offered or not ready, and what loading raises, always in one sentence.
        """
        if self._given is not None and name == self.start:
            return self._given
        row = next((row for row in self.offered() if row.ready and row.name == name), None)
        if row is None:
            # The name itself is not repeated: anything may have been sent for one.
            raise DataError("expected a model that is ready, got another name: reload the page to see which are.")
        return self._recent[row]

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the models in memory that may have to go, the one asked for last at the end."""
        return tuple(row.name for row in self._recent.held)

    def _loaded(self, row: Offer) -> Loaded:
        try:
            model = self._at_hand.pop(row, None) or self._load(row.source, self._device)
        except GeoExplainError:
            raise
        except (OSError, RuntimeError, MemoryError) as error:  # a file that went away, no memory left
            raise DataError(
                f"model {row.name}: this machine could not load it ({type(error).__name__}); choose another one."
            ) from error
        return self._with_gallery(model, row)

    def _with_gallery(self, model: GeoModel, row: Offer) -> Loaded:
        """A model and the search through its gallery; a gallery that cannot be opened leaves the model usable."""
        search, trouble = None, ""
        try:
            search = None if row.gallery is None else open_search(model, row.name, row.gallery)
        except GeoExplainError as error:
            trouble = str(error)
        return Loaded(model, search, trouble, self._naturalearth)


def _in_the_zoo() -> list[Offer]:
    return [
        Offer(row.name, row.title, row.purpose, row.ready, row.note, row.name, row.gallery, _changed_s(row.file))
        for row in zoo.models()
    ]


def _changed_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _offer_of(model: GeoModel, name: str, source: str) -> Offer:
    return Offer(name, model.title, model.purpose, True, "", source, None)
