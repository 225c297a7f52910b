"""Protect the studio from untrusted requests: uploaded files, URLs, routes, headers and limits.

Gradio trusts its clients more than a public page may. Each guard here closes a hole that Gradio leaves open; the tests
in `tests/hostile` attack each of them.
"""

import os
import stat
from abc import ABCMeta
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geoexplain.errors import ImageError
from geoexplain.images import open_image

BLOCKS: Mapping[str, Any] = MappingProxyType(
    {
        "analytics_enabled": False,
        "delete_cache": (600, 3600),
    }
)
"""Arguments of `GuardedBlocks`: no telemetry; every 600 s, files older than 3600 s are deleted."""

QUEUE: Mapping[str, Any] = MappingProxyType(
    {
        "max_size": 16,
        "default_concurrency_limit": 1,
        "api_open": False,
    }
)
"""Arguments of `demo.queue`: at most 16 requests wait, one runs at a time, and no route bypasses the queue."""

CONCURRENCY_ID = "network"
"""`concurrency_id` of every event that runs the network, so that only one of them runs at a time."""

TILE_HOSTS = ("https://tile.openstreetmap.org",)
"""Origins of online map tiles, used only if the server is started with tiles."""

_GONE = "this upload is no longer on the server: choose the image again."
_FOREIGN = "expected an uploaded image, got something that was not uploaded here: upload the image itself."

# Routes that Gradio always opens and the studio never uses: two fetch any URL for the client, one passes videos to
# ffmpeg, one writes a session to disk.
_CLOSED_ROUTES = ("file=http:", "file=https:", "proxy=", "process_recording", "deep_link")


def launch_settings(
    *, tile_hosts: Sequence[str] = (), embedders: Sequence[str] | None = None, uploads: bool = True
) -> dict[str, Any]:
    """Return the arguments of `demo.launch` for a studio that is open to others.

    Uploads of at most 10 MB, no run history in the browser, no monitoring page, no Python errors shown, no cross-origin
    calls from a browser to a local studio, no Node server, no tunnel, no MCP server, no further folders served; the
    middleware `Shield` handles every request first.

    Args:
        tile_hosts: origins that the map may load tiles from. Empty by default: no request leaves the machine.
        embedders: origins that may show the studio in a frame, besides itself. By default none, or Hugging Face's
            page when the studio runs as a Space there.
        uploads: if False, the upload route is closed, also to scripts.

    Returns:
        A new dictionary. Gradio modifies it, so call this once per launch.
    """
    if embedders is None:
        embedders = ("https://huggingface.co",) if os.environ.get("SPACE_ID") else ()
    headers = security_headers(tile_hosts=tile_hosts, embedders=embedders)
    closed = _CLOSED_ROUTES if uploads else (*_CLOSED_ROUTES, "upload")
    return {
        "max_file_size": "10mb",
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "strict_cors": True,
        "ssr_mode": False,
        "share": False,
        "mcp_server": False,
        "allowed_paths": [],
        "app_kwargs": {"middleware": [Middleware(Shield, headers=headers, closed=closed)]},
    }


def security_headers(*, tile_hosts: Sequence[str] = (), embedders: Sequence[str] = ()) -> dict[str, str]:
    """Return the response headers that confine the page to this server.

    Gradio's page has inline scripts and builds functions from text, so the policy must allow all scripts of the page
    itself. But the page cannot load from another host, send to it, or be framed by it.

    Args:
        tile_hosts: origins that images may come from, besides this server.
        embedders: origins that may frame the page, besides itself.
    """
    policy = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'", "blob:"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:", *tile_hosts],
        "font-src": ["'self'", "data:"],
        "media-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'", "data:", "blob:"],
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'", *embedders],
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {' '.join(values)}" for name, values in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
        "permissions-policy": "camera=(self), microphone=(), geolocation=()",
        "cross-origin-resource-policy": "same-origin",
    }
    if not embedders:
        # This older header takes no list of origins: with embedders it would contradict frame-ancestors.
        headers["x-frame-options"] = "SAMEORIGIN"
    return headers


class Shield:
    """ASGI middleware that answers 404 on routes the studio does not use, and adds headers to every response.

    Browsers may cache files, but must revalidate them before each use: modules import one another, and a page must not
    mix modules of two releases.

    Args:
        app: the application behind it.
        headers: added unless the application has set them itself.
        closed: prefixes of the refused routes, after `/gradio_api/`.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], closed: Sequence[str] = _CLOSED_ROUTES) -> None:
        self._app = app
        self._headers = headers
        self._closed = tuple(closed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        _, _, route = scope["path"].partition("/gradio_api/")
        known = Headers(scope=scope).get("if-none-match") if route.startswith("file=") else None
        unchanged = False

        async def send_with_headers(message: Message) -> None:
            nonlocal unchanged
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if route.startswith("file=") and "etag" in headers:
                    headers.setdefault("cache-control", "no-cache")
                    if message["status"] == 200 and headers["etag"] == known:
                        unchanged, message["status"] = True, 304
                        del headers["content-length"]
                await send(message)
                if unchanged:
                    # In one part: Gradio compresses a body that comes in several parts, even an empty one.
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not unchanged:
                await send(message)

        app = PlainTextResponse("Not found", 404) if route.lower().startswith(self._closed) else self._app
        await app(scope, receive, send_with_headers)


class GuardedBlocks(gr.Blocks):
    """`gr.Blocks` that accepts only uploaded files in the inputs of all components.

    If an input contains a file record, Gradio fetches its URL or reads its file before the component sees it. This
    class checks every record first.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Refuse files and URLs that were not uploaded, then do what `gr.Blocks` does.

        Raises:
            gr.Error: an input names a URL or a file outside the upload folder.
        """
        for record in _file_records(inputs):
            os.close(_open_uploaded(record["path"]))
        return await super().preprocess_data(block_fn, inputs, *args, **kwargs)


class _WithoutStub(ComponentMeta):
    # Gradio's metaclass writes a .pyi file next to the source, which type checkers then read instead. The rest of what
    # it does concerns only classes with their own __init__ or EVENTS.
    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        return ABCMeta.__new__(cls, name, bases, attrs)


class GuardedImage(gr.Image, metaclass=_WithoutStub):
    """`gr.Image` that opens only uploaded files, and only with `geoexplain.images.open_image`.

    Its handlers receive a Pillow image, upright and RGB, or None: the arguments `type` and `image_mode` have no
    effect on input. It takes the arguments of `gr.Image`.
    """

    is_template = True  # the browser uses the frontend of gr.Image

    def preprocess(self, payload: ImageData | None) -> Image.Image | None:  # type: ignore[override]
        """Open the uploaded file that the browser or a script names.

        Args:
            payload: the record of an uploaded file, as Gradio's upload route returns it; None without an image.

        Raises:
            gr.Error: it is not an uploaded file, or not an image that may be opened; the message gives the reason
                and the remedy.
        """
        if payload is None:
            return None
        if not payload.path or (payload.url or "").lower().startswith("data:"):
            raise _refusal(_FOREIGN)
        with os.fdopen(_open_uploaded(payload.path), "rb") as file:
            try:
                return open_image(file)
            except ImageError as error:
                raise _refusal(str(error)) from None

    def postprocess(self, value: Any) -> Any:
        """Show an image. A path is copied to the upload folder first, so that the browser can send it back as input."""
        if isinstance(value, str | Path):
            value = save_file_to_cache(value, cache_dir=self.GRADIO_CACHE)
        return super().postprocess(value)


def _refusal(sentence: str) -> gr.Error:
    # Not printed: what people upload does not belong in a log.
    return gr.Error(sentence[0].upper() + sentence[1:], title="Not opened", print_exception=False)


def _file_records(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value
        for part in value.values():
            yield from _file_records(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _file_records(part)


def _open_uploaded(path: str) -> int:
    """Return a file descriptor of the regular file `path`, which must resolve to a file in the upload folder."""
    if path.lower().endswith(".svg"):
        raise _refusal("expected a JPEG, PNG, WebP, GIF or AVIF image, got an SVG drawing: save it as PNG first.")
    folder = Path(get_upload_folder()).resolve()
    try:
        resolved = Path(path).resolve()
    except (OSError, RuntimeError, ValueError):
        raise _refusal(_FOREIGN) from None
    if not (Path(path).is_absolute() and resolved.is_relative_to(folder)):
        raise _refusal(_FOREIGN)
    # The path is resolved: if it is a link now, the file was replaced since. A named pipe must not block.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(resolved, flags)
    except OSError:
        raise _refusal(_GONE) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refusal(_FOREIGN)
    return descriptor
