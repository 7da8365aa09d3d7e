"""The OpenAPI document, of a small app."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from flask import Flask
from msgspec import UNSET, Meta, Struct, UnsetType

from app.identity.rights import Listen, Publish
from app.web import body as bodies
from app.web.api import Api, route_of
from app.web.body import JSON
from app.web.openapi import document
from app.web.route import STREAMS


class Thing(Struct):
    """A ``thing``.

    Of its own.
    """

    name: Annotated[str, Meta(description="What it is called.")]


class Query(Struct):
    """Which."""

    limit: Annotated[int, Meta(ge=1, description="How many.")]
    after: str | UnsetType = UNSET


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)

    api = Api("api", __name__, {"thing": str, "number": int})

    @api.put(
        "/things/<path:thing>/<int:number>",
        needs=Publish("thing:<thing>"),
        query=Query,
        headers={"X-Why": "A reason."},
        body=bodies.of_struct(Thing, most_bytes=100, code="invalid", hint="Send a name.", is_optional=True),
        answers={200: list[Thing], 204: None},
        errors=(409,),
    )
    def change(thing: str, number: int, query: Query, body: Thing) -> str:
        """Change ``it``.

        At once.
        """
        return ""

    @api.get("/things/stream", needs=Listen("things"), answers=STREAMS)
    def stream() -> str:
        """Listen."""
        return ""

    app.register_blueprint(api.blueprint)

    @app.get("/page")
    def page() -> str:
        return ""

    return app


def build(app: Flask, cookie: str = "") -> Any:
    return document.build(app, version="1", cookie=cookie)


def test_an_operation_says_all_that_stands_next_to_its_route(app: Flask) -> None:
    operation = build(app)["paths"]["/things/{thing}/{number}"]["put"]
    assert operation["summary"] == "Change `it`."
    assert operation["description"] == "At once.\n\nNeeds `publish` on `thing:<thing>`."
    assert [(one["in"], one["name"], one["required"]) for one in operation["parameters"]] == [
        ("path", "number", True),
        ("path", "thing", True),
        ("query", "limit", True),
        ("query", "after", False),
        ("header", "X-Why", False),
    ]
    assert operation["parameters"][2]["schema"] == {"type": "integer", "minimum": 1}
    assert operation["requestBody"] == {
        "required": False,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Thing"}}},
    }
    assert sorted(operation["responses"]) == ["200", "204", "400", "401", "403", "404", "409", "413"]
    assert "content" not in operation["responses"]["204"]


def test_components_are_the_types_themselves(app: Flask) -> None:
    components = build(app)["components"]["schemas"]
    assert sorted(components) == ["Error", "ErrorBody", "Thing"]
    assert components["Thing"]["description"] == "A `thing`.\n\nOf its own."


def test_a_tag_is_described_by_the_module_of_its_routes(app: Flask) -> None:
    assert build(app)["tags"] == [{"name": "api", "description": "The OpenAPI document, of a small app."}]


def test_a_cookie_is_named_only_where_it_is_taken(app: Flask) -> None:
    without, with_one = build(app), build(app, "token")
    path = "/things/stream"
    assert without["paths"][path]["get"]["security"] == [{}, {"bearer": []}, {"ticket": []}]
    assert with_one["paths"][path]["get"]["security"] == [{}, {"bearer": []}, {"cookie": []}, {"ticket": []}]
    assert "cookie" not in without["components"]["securitySchemes"]
    assert with_one["components"]["securitySchemes"]["cookie"]["name"] == "token"


def test_a_page_is_no_operation(app: Flask) -> None:
    assert "/page" not in build(app)["paths"]
    assert route_of(app.view_functions["page"]) is None
