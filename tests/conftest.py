"""How tests share the cores, a Chromium for each worker, and a page that hears every request and every complaint."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Dialog, Page, Playwright, sync_playwright
from xdist.scheduler import LoadScopeScheduling

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background takes Ctrl-C from them, and with it what some of them press.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as cores, each with one thread: threads of several would only wait for each other. PyTorch reads
    # this when it is imported, and so do the processes that tests start.
    os.environ["OMP_NUM_THREADS"] = "1"

# Of two such lists only the last counts, hence also what Playwright's own has that matters here.
SWITCHED_OFF = (
    # The suggestions of an address bar that nobody sees are two more pages for each: a third of what opening one costs.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--disable-features={','.join(SWITCHED_OFF)}",
]
SHARED_STUDIO = "tests/browser"


class Modules(LoadScopeScheduling):
    """Gives whole modules to workers, in their order, and all of tests/browser to one: it has the only studio."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return SHARED_STUDIO if module.startswith(SHARED_STUDIO) else module


@pytest.hookimpl(optionalhook=True)  # pytest may run without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Modules:
    config.option.loadscopereorder = False  # tests/browser takes longest and stands first
    return Modules(config, log)


def executable(playwright: Playwright) -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        path = shutil.which(name)
        # Ubuntu has a chromium that only says where to get one.
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@pytest.fixture(autouse=True, scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads, or writes to, the models that the person who runs it has added."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOEXPLAIN_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask for it fills, and that all of them read."""
    root = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder, unfinished = root / f"made-{name}", root / f"making-{name}"
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def certh_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files of CERTH, with the weights behind the golden vectors; to be read only."""
    from tests.golden.checkpoints import certh_folder  # which imports PyTorch

    return made_once(tmp_path_factory, "certh", certh_folder)


@pytest.fixture(scope="session")
def tib_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A semantic model of TIB, with the weights behind the golden vectors; to be read only."""
    from tests.golden.checkpoints import tib_folder

    return made_once(tmp_path_factory, "tib", tib_folder)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            if os.environ.get("CI") == "true":
                pytest.fail("no Chromium, and CI=true does not let its tests be skipped: run tests/browser/install.sh")
            pytest.skip("no Chromium: run tests/browser/install.sh")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def free_port() -> int:
    """A port nobody listens on; Gradio's own search for one leaves a socket open for each that is taken."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Heard:
    """What a page asked for, complained of and popped up."""

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        return {urlsplit(url).hostname or "" for url in self.urls}


@contextmanager
def listened_page(chromium: Browser, heard: Heard, **options: Any) -> Iterator[Page]:
    """A page in a context of its own; when it closes, it must have asked no other host and complained of nothing."""

    def dismiss(dialog: Dialog) -> None:
        heard.dialogs.append(dialog.message)
        dialog.dismiss()

    context = chromium.new_context(**options)
    page = context.new_page()
    page.on("request", lambda request: heard.urls.append(request.url))
    page.on("console", lambda line: heard.complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: heard.complaints.append(str(error)))
    page.on("dialog", dismiss)
    yield page
    context.close()
    assert heard.hosts <= {"127.0.0.1", ""}
    assert heard.complaints == []
    assert heard.dialogs == []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(chromium: Browser, heard: Heard) -> Iterator[Page]:
    """A listened page; see there what it must not do."""
    with listened_page(chromium, heard) as page:
        yield page
