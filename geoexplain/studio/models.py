"""The models that the studio offers, a few of which are in memory."""

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
"""Number of models that stay in memory by default."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A thread-safe cache that makes values on first use and keeps the `keep` most recently used ones.

    Values are made one at a time, and only after the oldest has been released: there are never more than `keep`, not
    even for a moment. Two threads that need the same value wait until it has been made once. An exception is passed on
    and not remembered.
    """

    def __init__(self, make: Callable[[Key], Value], keep: int):
        if keep < 1:
            raise DataError(f"expected to keep at least 1 model in memory, got {keep}.")
        self._make, self._keep = make, keep
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def __getitem__(self, key: Key) -> Value:
        """Return the value of a key; make it if it is not kept. Passes on any exception of `make`."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        with self._making:
            with self._lock:
                if key in self._held:  # another thread has made it meanwhile
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
        """The keys in memory, the most recently used one last."""
        with self._lock:
            return tuple(self._held)


@dataclass(frozen=True)
class Offer:
    """One model of the menu.

    name            identifier for browser and scripts
    title, purpose  text for people; the purpose is one line: for which kind of image
    ready           whether it can be chosen; otherwise `note` explains in a sentence how to obtain it
    source          the name or path that loads it
    gallery         path of its gallery for Search within Cell, if it has one
    changed_s       modification time of its file: a replaced file counts as another model
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

    search        Search within Cell in its gallery, if it has one
    trouble       why its gallery cannot be searched; empty if it can
    naturalearth  folder of Natural Earth's files, for the natural places that its cells lie in
    """

    model: GeoModel
    search: SearchWithinCell | None = None
    trouble: str = ""
    naturalearth: Path | None = None

    @cached_property
    def trees(self) -> tuple[PlaceTree, ...]:
        """The trees of places that the model's cells lie in, with natural places if known; computed once."""
        own = self.model.trees
        if self.naturalearth is None or any(tree.name == NATURE for tree in own):
            return own
        return (*own, nature_tree(self.model.partition, self.naturalearth))


class Models:
    """The models of one studio: those that it offers, and the few in memory.

    start         the model that the page opens with: a name in the zoo, the path of a file, or a model. A model object
                  stays in memory in addition to the `keep` others, since it could not be loaded again.
    keep          number of models that may be in memory, at least 1
    device        the device to load them on; None: the GPU if there is one
    load          function that loads a model by its name or path
    naturalearth  folder of Natural Earth's files: cells then also lie in deserts, ranges and seas

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
            _ = tree.borders[
                :1
            ]  # load them now, so that errors appear at the start and the first visitor need not wait

    def offered(self) -> list[Offer]:
        """Return every model that is known now, ready or not; the one that the page opens with comes first."""
        return [self._first, *(row for row in _in_the_zoo() if row.name != self._first.name)]

    @property
    def start(self) -> str:
        """The name of the model that the page opens with."""
        return self._first.name

    def __getitem__(self, name: object) -> Loaded:
        """Return the model that is offered under a name; load it if it is not in memory.

        Raises DataError for a name that is not offered or not ready, and any GeoExplainError of loading.
        """
        if self._given is not None and name == self.start:
            return self._given
        row = next((row for row in self.offered() if row.ready and row.name == name), None)
        if row is None:
            # The message does not repeat the name, which is untrusted.
            raise DataError("expected a model that is ready, got another name: reload the page to see which are.")
        return self._recent[row]

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the models in memory that may be released, the most recently used one last."""
        return tuple(row.name for row in self._recent.held)

    def _loaded(self, row: Offer) -> Loaded:
        try:
            model = self._at_hand.pop(row, None) or self._load(row.source, self._device)
        except GeoExplainError:
            raise
        except (OSError, RuntimeError, MemoryError) as error:  # the file was removed, or memory is full
            raise DataError(
                f"model {row.name}: this machine could not load it ({type(error).__name__}); choose another one."
            ) from error
        return self._with_gallery(model, row)

    def _with_gallery(self, model: GeoModel, row: Offer) -> Loaded:
        """Return a model with the search through its gallery; if the gallery cannot be opened, without it."""
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
