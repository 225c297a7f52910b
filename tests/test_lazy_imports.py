"""What needs no network imports no PyTorch: it takes seconds, and a person waits for them."""

import subprocess
import sys
from pathlib import Path

import pytest

import geoexplain

HEAVY = ("torch", "timm", "torchvision", "scipy", "gradio", "folium", "matplotlib", "numpy", "PIL")
RUN = """
import sys
sys.argv = ["geoexplain", *{words}]
try:
    from geoexplain.cli import main
    main()
except SystemExit:
    pass
print("imported:", *(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["models"], ["models", "--json"], ["models", "--help"]])
def test_a_command_without_a_network_imports_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    code = RUN.format(words=words, heavy=HEAVY)
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={"GEOEXPLAIN_HOME": str(tmp_path)},
    )
    *answer, imported = run.stdout.splitlines()
    assert answer
    assert imported == "imported:"


def test_every_public_name_is_found_when_it_is_first_used() -> None:
    code = (
        "import sys, geoexplain; assert 'torch' not in sys.modules; from geoexplain import *; print(*sorted(globals()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert set(geoexplain.__all__) <= set(run.stdout.split())
    assert set(geoexplain.__all__) <= set(dir(geoexplain))
    assert geoexplain.explain.__module__.startswith("geoexplain.explainer")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explane'"):
        _ = geoexplain.explane
