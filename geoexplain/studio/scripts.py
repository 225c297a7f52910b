"""How the page loads the ES modules of `assets/studio`: by URLs relative to the page, so that a proxy may move it."""

from urllib.parse import quote

from geoexplain.studio.markup import FOLDER

ASSETS_URL = f"gradio_api/file={quote(FOLDER.parent.as_posix())}"
"""Where Gradio serves the folder `assets`, relative to the page: also right when the app is mounted below another path.
Its subfolders have to be among the static paths."""


def start_module(name: str, *events: str) -> str:
    """Return a component's script: it calls `start` of a module with what Gradio gives to scripts.

    events  the custom events that the module triggers. Gradio offers no others than those named in the script.
    """
    triggered = ", ".join(f'"{event}"' for event in events)
    start = "({ start }) => start({ element, props, trigger, watch })"
    return f"// triggers {triggered}\n{_import(name)}.then({start});"


def call_module(name: str, function: str, *arguments: str) -> str:
    """Return an event's script: it calls a function of a module with `arguments`, or without any with its inputs."""
    given = ", ".join(f'"{argument}"' for argument in arguments) or "...inputs"
    return f"(...inputs) => {_import(name)}.then((module) => module.{function}({given}))"


def preload_links() -> str:
    """Return what goes into the page's head: links to all modules.

    Without them the browser would find the modules import by import, each after a round trip.
    """
    names = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js"))
    return "".join(f'<link rel="modulepreload" href="{_url(name)}">' for name in names)


def _url(name: str) -> str:
    return f"{ASSETS_URL}/studio/{name}"


def _import(name: str) -> str:
    # Without a base, the URL would be relative to Gradio's own script, which runs this one.
    return f'import(new URL("{_url(name)}", document.baseURI))'
