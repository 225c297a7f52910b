"""The scripts that need no page, run by Node: held against the Python functions whose arithmetic they repeat."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.scripts.values import values

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test.js"))
NODE = Path(sys.executable).parent / "node"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ET.Element:
    """What Node says of every test, all run in one go."""
    given = tmp_path_factory.mktemp("scripts") / "given.json"
    given.write_text(json.dumps(values()), encoding="utf-8")
    done = subprocess.run(
        [NODE, "--test", "--test-isolation=none", "--test-reporter=junit", *FILES],
        env=os.environ | {"GEOEXPLAIN_GIVEN": str(given)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout, done.stderr
    return ET.fromstring(done.stdout)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_scripts_do_what_python_does(report: ET.Element, file: Path) -> None:
    tests = [test for test in report.iter("testcase") if Path(test.get("file", "")) == file]
    assert tests, f"{file.name}: Node ran no test of it: {ET.tostring(report, 'unicode')[:2000]}"
    failed = [f"{test.get('name')}: {test.find('failure').text}" for test in tests if test.find("failure") is not None]
    assert not failed, "\n\n".join(failed)
