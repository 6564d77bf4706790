"""The gateway's OpenAPI description: the schema of an event, and how senders authenticate."""

from typing import Any

from fastapi import FastAPI

from pravah.events import EVENT

_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Pravah-Secret",
        "description": "Or the header named in the source's file.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Glific-Signature",
        "description": "`t=<unix seconds>,v1=<HMAC-SHA256 of t.body>`",
    },
}


def describe_events(app: FastAPI) -> None:
    """Add the event's schema and the security schemes to the application's description."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        content = generate()
        schema = EVENT.json_schema(ref_template="#/components/schemas/{model}")
        components = content.setdefault("components", {})
        components.setdefault("schemas", {}).update({**schema.pop("$defs", {}), "Event": schema})
        components["securitySchemes"] = _SECURITY_SCHEMES
        return content

    app.openapi = openapi  # type: ignore[method-assign]
