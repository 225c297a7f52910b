"""`geoexplain studio`, served for real."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.cli.conftest import Run
from tests.test_architecture import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_studio_serves_the_chosen_model_until_ctrl_c(model_file: Path, tmp_path: Path) -> None:
    port = free_port()
    words = ["-m", "geoexplain", "studio", "--port", str(port), "--model", str(model_file), "--no-uploads"]
    log = tmp_path / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=stream, stderr=stream, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        try:
            config = None
            deadline = time.monotonic() + 180
            while config is None and time.monotonic() < deadline and server.poll() is None:
                try:
                    config = httpx.get(f"http://127.0.0.1:{port}/config", trust_env=False).json()
                except httpx.TransportError:
                    time.sleep(0.2)
            assert config is not None, log.read_text(encoding="utf-8")
            (image,) = [part for part in config["components"] if part["props"].get("elem_id") == "image"]
            assert image["props"]["interactive"] is False
            assert "Random weights" in str(config["components"])
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()
            server.wait()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_what_is_no_natural_earth_is_said_before_anything_is_served(run: Run, model_file: Path, tmp_path: Path) -> None:
    outcome = run("studio", "--model", model_file, "--naturalearth", tmp_path)
    assert outcome.code == 2
    (sentence,) = outcome.err.splitlines()
    assert "expected" in sentence
    assert "geography_regions_polys" in sentence
