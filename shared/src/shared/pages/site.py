"""A small site: the templates and static files of a package, two languages, and a strict content security policy."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shared.languages import language_for

if TYPE_CHECKING:
    from jinja2 import Environment

LANGUAGES = {"zh": "中文", "en": "English"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""No inline code, nothing from other origins, no embedding in frames."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
"""Content types by file extension. Python's ``mimetypes`` differ between machines."""

Texts = Mapping[str, Mapping[str, Any]]
"""The texts of a site by language and key."""


class Site:
    """Renders the ``templates`` of a package and serves its ``static`` files and the shared ones."""

    def __init__(self, package: str, prefix: str, texts: Texts) -> None:
        """Read the static files of ``package``. ``prefix``, as in ``/pages``, is the path of the site."""
        self._prefix = prefix
        self._texts = texts
        self._package = package
        self._static = {**_read(files("shared.pages")), **_read(files(package))}

    @cached_property
    def _templates(self) -> "Environment":
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only processes that show pages need it

        return Environment(
            loader=ChoiceLoader([PackageLoader(self._package), PackageLoader("shared.pages")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def mount(self, app: web.Application) -> None:
        """Add the route for static files."""
        app.router.add_get(self._prefix + "/static/{name}", self._serve)

    def page(self, request: web.Request, template: str, **values: Any) -> web.Response:
        """Render a template in the reader's language."""
        language = reader_language(request)
        body = self._templates.get_template(template).render(
            lang=language,
            languages={each: (name, _in_language(request, each)) for each, name in LANGUAGES.items()},
            static=self._prefix + "/static",
            t=self._texts[language],
            **values,
        )
        response = web.Response(text=body, content_type="text/html", headers=HEADERS)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Language"] = language
        response.headers["Vary"] = "Accept-Language"
        return response

    async def _serve(self, request: web.Request) -> web.Response:
        file = self._static.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        body, kind, etag = file
        unchanged = etag in request.headers.get("If-None-Match", "")
        response = web.Response(status=304) if unchanged else web.Response(body=body, headers={"Content-Type": kind})
        response.headers.update({**HEADERS, "ETag": etag, "Cache-Control": "no-cache"})
        return response


def reader_language(request: web.Request) -> str:
    """The language of a page: ``?lang=`` if it is one of ours, else the best match for ``Accept-Language``."""
    chosen = request.query.get("lang", "")
    return chosen if chosen in LANGUAGES else language_for(request.headers.get("Accept-Language", ""))


def _in_language(request: web.Request, language: str) -> str:
    """A relative link to this page in another language."""
    return "?" + request.rel_url.update_query(lang=language).raw_query_string


def _read(package: Traversable) -> dict[str, tuple[bytes, str, str]]:
    """The bytes, content type and entity tag of each static file, by name."""
    static = {}
    for file in package.joinpath("static").iterdir():
        body = file.read_bytes()
        kind = KINDS[file.name.rpartition(".")[2]]
        static[file.name] = (body, kind, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
    return static
