"""A Ray cluster of this machine alone: the same answers, and workers that are killed cost nothing else."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import ATTEMPTS, Opener
from geoexplain.evaluation.engines.cluster import Attempts, Cluster, RayWorker, connect
from geoexplain.evaluation.evaluate import KILLED, Workers, evaluate
from tests.evaluation.openers import DEADLY, DEADLY_ONCE, dying, refusing
from tests.evaluation.recipes import views_recipe
from tests.evaluation.test_evaluate import QUICK, assert_same_table


@dataclass(frozen=True)
class Dying:
    """An engine whose workers are killed: by DEADLY each time, by DEADLY_ONCE once."""

    engine: Cluster
    folder: Path
    device: str = "cpu"

    def answers(self, opener: Opener, indices: Sequence[int]) -> Iterator[tuple[int, str | None]]:
        return self.engine.answers(partial(dying, self.folder, opener), indices)


@pytest.mark.slow
@pytest.mark.usefixtures("threads_of_one_in_two")
@pytest.mark.filterwarnings("ignore")  # Ray, and what it brings, warn of their own affairs
def test_ray_gives_the_same_table_though_workers_are_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    recipe = views_recipe(tmp_path)
    model, source = recipe.open()
    evaluate(QUICK, model, source, tmp_path / "alone")
    heard: list[int] = []
    with connect(2, "cpu") as cluster:
        workers = Workers(Dying(cluster, tmp_path), recipe)
        answers = evaluate(
            QUICK, model, source, tmp_path / "out", workers=workers, progress=lambda done, _total: heard.append(done)
        )
    assert heard == list(range(7))  # each is saved as it comes
    assert [answer.status for answer in answers] == ["ok"] * 5 + ["failed"]
    assert (answers[DEADLY].id, answers[DEADLY].reason) == ("view-00005", KILLED)
    assert (tmp_path / f"seen-{DEADLY}").read_text().count("seen") == ATTEMPTS
    assert (tmp_path / f"seen-{DEADLY_ONCE}").read_text().count("seen") == 1
    # Another engine goes on, and asks again for what failed.
    evaluate(QUICK, model, source, tmp_path / "out", resume=True)
    assert_same_table(tmp_path / "out", tmp_path / "alone")


def test_a_worker_that_refuses_says_why_with_every_image() -> None:
    pytest.importorskip("ray")
    found = RayWorker(refusing, 1, None)({"index": [4]})
    assert found == {"index": [4], "kind": ["refused"], "text": ["this worker has another model."]}


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="expected the package ray, found none: pip install"), connect(2):
        pass


def test_attempts_are_counted_by_index() -> None:
    attempts = Attempts()
    assert [attempts.begin(index) for index in (4, 7, 4, 4, 7)] == [0, 0, 1, 2, 1]
