"""Build the snippets that load the ES modules of `assets/studio`.

URLs are relative to the page, so that the studio also works below another path of a proxy.
"""

from urllib.parse import quote

from geoexplain.studio.markup import FOLDER

ASSETS_URL = f"gradio_api/file={quote(FOLDER.parent.as_posix())}"
"""URL of the folder `assets` relative to the page; it also holds when the app is mounted below another path.
Its subfolders must be among Gradio's static paths."""


def start_module(name: str, *events: str) -> str:
    """Return a component's script, which calls `start` of a module with the values that Gradio passes to scripts.

    events  the custom events that the module triggers; Gradio finds them by their names in the script
    """
    triggered = ", ".join(f'"{event}"' for event in events)
    start = "({ start }) => start({ element, props, trigger, watch })"
    return f"// triggers {triggered}\n{_import(name)}.then({start});"


def call_module(name: str, function: str, *arguments: str) -> str:
    """Return an event's script, which calls a module's function with `arguments`, or else with the event's inputs.

    From the second call on it calls the function at once: while an import resolves, another event could change what
    the inputs were read from.
    """
    passed = ", ".join(f'"{argument}"' for argument in arguments) or "...inputs"
    call, held = f"module.{function}({passed})", f'globalThis.geoexplainModules?.["{name}"]'
    keep = f'(globalThis.geoexplainModules ??= {{}})["{name}"] = module'
    return (
        f"(...inputs) => {{ const module = {held}; if (module) return {call}; "
        f"return {_import(name)}.then((module) => {{ {keep}; return {call}; }}); }}"
    )


def preload_links() -> str:
    """Return links that preload all modules, for the page's head.

    Without them the browser would discover the modules import by import, with a round trip for each.
    """
    names = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js"))
    return "".join(f'<link rel="modulepreload" href="{_url(name)}">' for name in names)


def _url(name: str) -> str:
    return f"{ASSETS_URL}/studio/{name}"


def _import(name: str) -> str:
    # Without a base, the URL would be relative to Gradio's script, which runs this snippet.
    return f'import(new URL("{_url(name)}", document.baseURI))'
