"""The document: OpenAPI 3.1, from the routes of an app and the types that check their requests."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import msgspec
from flask import Flask
from msgspec import Meta, Struct
from werkzeug.routing import Rule

from ..api import route_of
from ..body import JSON, Content
from ..route import Route

_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_REF = "#/components/schemas/{name}"

_ERRORS = {
    400: "The request is invalid; `code` says why, `message` what to do.",
    401: "The client is unknown, or its token is invalid or has ended.",
    403: "The client is known, but not allowed to do this.",
    404: "There is no such thing.",
    409: "It belongs to another client, or conflicts with an earlier request, or is not available now.",
    413: "The body, or an event in it, is too large.",
    426: "This speaks WebSocket, and the request does not.",
    429: "Too many at once.",
    502: "A server behind this one failed; `code` says how.",
    503: "Not now: the log is not available, or this worker is full or about to stop.",
    504: "No answer came in time.",
}
_ERROR_HEADERS = {
    401: {"WWW-Authenticate": "Always `Bearer`."},
    429: {"Retry-After": "Seconds."},
    503: {"Retry-After": "Seconds, where it helps to wait."},
}
_SUCCESSES = {
    101: "A WebSocket from here on.",
    200: "As asked.",
    201: "Stored.",
    202: "Sent on; what comes of it is told elsewhere.",
    204: "Done; no body.",
}


class ErrorBody(Struct):
    """What went wrong."""

    code: Annotated[str, Meta(description="For programs.")]
    message: Annotated[str, Meta(description="For people: what happened, and what to do.")]


class Error(Struct):
    """Every answer that is an error."""

    error: ErrorBody


def build(app: Flask, *, version: str, cookie: str) -> dict[str, Any]:
    """Return the document of all views that have a `Route`. Pure, except that it reads the app.

    Args:
        version: Of what is documented.
        cookie: The name of the cookie that carries a token; empty where none does.
    """
    routes = list(_routes(app))
    schemas = _Schemas(route for _, _, route, _ in routes)
    schemes = security_schemes(cookie)
    paths: dict[str, Any] = {}
    for rule, method, route, view in routes:
        path = _VARIABLE.sub(r"{\1}", rule.rule)
        described = _operation(rule, route, view, schemas)
        described["security"] = [
            {name: []} if name else {} for name in route.access.value if not name or name in schemes
        ]
        paths.setdefault(path, {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simulcast",
            "version": version,
            "description": "Publish once; every listener gets it, in order, and what it missed when it comes back.",
        },
        "tags": [_tag(app, name) for name in dict.fromkeys(_tag_of(rule) for rule, *_ in routes)],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": schemes},
    }


class _Schemas:
    """Turns types into references, and keeps what they refer to."""

    def __init__(self, routes: Iterable[Route]) -> None:
        types = [type for route in routes for type in _types(route)]
        _, self.components = msgspec.json.schema_components([Error, *types], ref_template=_REF)
        for component in self.components.values():
            if "description" in component:
                component["description"] = _text(component["description"])

    def of(self, type: Any) -> dict[str, Any]:
        """Return the schema of one type; that of a Struct is a reference into the components."""
        (schema,), _ = msgspec.json.schema_components([type], ref_template=_REF)
        return schema

    def content(self, content: Content) -> dict[str, Any]:
        """Return the schema of a body for each media type."""
        return {media: {"schema": self.of(type)} for media, type in content.items()}


def _routes(app: Flask) -> Iterator[tuple[Rule, str, Route, Callable[..., Any]]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        route = route_of(view)
        if route is None:
            continue
        # HEAD and OPTIONS are Flask's own, and follow from the others.
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method.lower(), route, view


def _tag_of(rule: Rule) -> str:
    """Return the name of the blueprint."""
    name: str = rule.endpoint.partition(".")[0]
    return name


def _tag(app: Flask, name: str) -> dict[str, str]:
    """Describe a tag by the docstring of the module of its routes."""
    return {"name": name, "description": _text(sys.modules[app.blueprints[name].import_name].__doc__ or "")}


def _types(route: Route) -> Iterator[Any]:
    if route.body is not None:
        yield from route.body.content.values()
    for status in route.answers:
        yield from (route.content(status) or {}).values()


def _operation(rule: Rule, route: Route, view: Callable[..., Any], schemas: _Schemas) -> dict[str, Any]:
    summary, _, rest = _text(inspect.getdoc(view) or "").partition("\n\n")
    needs = f"Needs {route.needs.text}." if route.needs else ""
    described: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [_tag_of(rule)],
        "summary": summary.replace("\n", " "),
        "responses": {
            **{str(status): _success(status, route.content(status), schemas) for status in route.answers},
            **{str(status): _error(status, schemas) for status in route.error_statuses},
        },
    }
    description = "\n\n".join(filter(None, (rest, needs)))
    if description:
        described["description"] = description
    parameters = list(_parameters(rule, route, schemas))
    if parameters:
        described["parameters"] = parameters
    if route.body:
        described["requestBody"] = {
            "required": not route.body.is_optional,
            "content": schemas.content(route.body.content),
        }
    return described


def _parameters(rule: Rule, route: Route, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in sorted(rule.arguments):
        yield {"name": name, "in": "path", "required": True, "schema": schemas.of(route.path[name])}
    if route.query is not None:
        _, components = msgspec.json.schema_components([route.query])
        (schema,) = components.values()
        for name, field in schema["properties"].items():
            described = {"description": field.pop("description")} if "description" in field else {}
            yield {
                "name": name,
                "in": "query",
                "required": name in schema["required"],
                "schema": field,
                **described,
            }
    for name, about in route.headers.items():
        field = {"type": "string", "description": about} if isinstance(about, str) else schemas.of(about)
        described = {"description": field.pop("description"), "schema": field}
        yield {"name": name, "in": "header", "required": False, **described}


def _success(status: int, content: Content | None, schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _SUCCESSES[status]}
    if content is not None:
        answer["content"] = schemas.content(content)
    return answer


def _error(status: int, schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _ERRORS[status], "content": schemas.content({JSON: Error})}
    headers = _ERROR_HEADERS.get(status)
    if headers:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    return answer


def security_schemes(cookie: str) -> dict[str, Any]:
    """Return the ways to send a credential.

    Args:
        cookie: The name of the cookie that carries a token; empty where none does.
    """
    schemes = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer <token>`: a JSON Web Token, or the publish key.",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "From `POST /api/v1/tickets`; lets in once, for EventSource and WebSocket, which can't set headers.",
        },
    }
    if cookie:
        schemes["cookie"] = {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie,
            "description": "A JSON Web Token. From other origins than the app's own only where they are allowed.",
        }
    return schemes


def _text(docstring: str) -> str:
    """Return a docstring as Markdown, which has single backticks for reStructuredText's double ones."""
    return inspect.cleandoc(docstring).replace("``", "`")
