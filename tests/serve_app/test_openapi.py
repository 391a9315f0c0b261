"""The OpenAPI document tells the truth, and the service answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis

# Loaded now, not in the middle of the run: pytest rewrites it, and where other threads run meanwhile, CPython 3.11 may
# fail to parse ("AST constructor recursion depth mismatch").
import schemathesis.specs.openapi.schemas
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from qbitel.discovery import classifier
from qbitel.serve_app import models, stream_models
from qbitel.serve_app.examples import EXAMPLES


def test_health_answers(client: httpx.Client) -> None:
    """The service says that it lives and that it can work."""
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["status"] == "ok"
    for path in ("/healthz", "/readyz"):
        asked = client.head(path)
        assert (asked.status_code, asked.content) == (200, b"")


def has_example(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    """Return whether a body, an answer of it, or what one of these refers to, has an example."""
    bodies = [operation.get("requestBody", {}), *(operation["responses"].get(each, {}) for each in ("200", "202"))]
    for content in [each for body in bodies for each in body.get("content", {}).values()]:
        named = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        schema = document["components"]["schemas"].get(named, content.get("schema", {}))
        if "example" in content or "examples" in content or "examples" in schema:
            return True
    return False


def test_every_operation_is_described(client: httpx.Client) -> None:
    """Every operation has a summary, a description, documented problems, and an example of what it answers or takes."""
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert has_example(document, operation), (method, path)
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert any(int(status) >= 400 for status in operation["responses"]), (method, path)
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                assert kind != "application/json" or content["examples"], (method, path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_what_the_models_say(name: str) -> None:
    """An example of an answer is one that its model takes."""
    model = next(getattr(module, name) for module in (models, stream_models, classifier) if hasattr(module, name))
    model.model_validate(EXAMPLES[name])


@schemathesis.serializer("application/x-ndjson")
def lines_of(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Send what was generated for a body of lines as it is."""
    return str(value).encode("utf-8", "surrogatepass")


def test_answers_conform_to_the_document(client: httpx.Client, service_address: str) -> None:
    """Generated requests, good and bad, get only documented answers of the documented shape, and never a 500."""
    schema = schemathesis.openapi.from_url(f"{service_address}/openapi.json")
    # A stream of events has no end that a generated request would wait for.
    operations = [each.ok() for each in schema.exclude(path_regex="events").get_all_operations()]

    @settings(
        max_examples=80,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        # That strings are base64 and files captures is more than a schema can say: refusing them is no fault.
        # Documented 503s and 504s are answers: what they need (a cluster that trains) is not here.
        answer = case.call_and_validate(
            base_url=service_address, excluded_checks=[positive_data_acceptance, not_a_server_error]
        )
        assert answer.status_code != 500, answer.text

    check()
