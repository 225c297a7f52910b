"""Whose turn it is to ask a server, as all who share a cache see it."""

from pathlib import Path

from geoexplain.geography.addresses.answer_cache import LONGEST_QUEUE, open_cache


def test_a_clock_that_was_set_back_is_not_waited_for(tmp_path: Path) -> None:
    with open_cache(tmp_path / "cache", "x") as cache:
        assert [cache.turn_s(name, 2.0) == 0 for name in ("a", "b")] == [True, True]
        assert 0 < cache.turn_s("a", 2.0) <= 2.0
        with cache.connection:
            cache.connection.execute("UPDATE turns SET next_s = next_s + 1e6")
        assert cache.turn_s("a", 2.0) == LONGEST_QUEUE * 2.0
