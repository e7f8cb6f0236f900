"""The contract itself, and that the server's routes are exactly its operations."""
import re

import pytest
from jsonschema import Draft202012Validator

from harness import api as client
from harness.contract import METHODS, Contract, server_routes


def walk(node, path="#"):
    """Every mapping of the document with its JSON Pointer."""
    if isinstance(node, dict):
        yield path, node
        for k, v in node.items():
            yield from walk(v, f"{path}/{str(k).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(node, list):
        for i, v in enumerate(node):
            yield from walk(v, f"{path}/{i}")


def schemas(contract):
    for name, schema in contract.spec["components"]["schemas"].items():
        yield f"schemas/{name}", schema
    for path, node in walk(contract.spec["paths"]):
        if isinstance(node.get("schema"), dict):
            yield path, node["schema"]


def media_types(contract):
    for path, node in walk(contract.spec):
        if isinstance(node.get("content"), dict):
            for media, content in node["content"].items():
                yield f"{path}/content/{media}", media, content


def test_document_has_what_openapi_3_1_requires(contract):
    spec = contract.spec
    assert spec["openapi"] == "3.1.0"
    assert spec["info"]["title"] and spec["info"]["version"]
    assert set(spec) <= {"openapi", "jsonSchemaDialect", "info", "servers", "security", "tags", "paths", "components"}
    assert set(spec["components"]) <= {"securitySchemes", "headers", "parameters", "responses", "schemas", "examples"}
    tags = {tag["name"] for tag in spec["tags"]}
    for template, item in spec["paths"].items():
        assert template.startswith("/")
        assert set(item) <= {*METHODS, "parameters"}, template
    for operation_id, (method, template, operation) in contract.operations.items():
        assert {"operationId", "summary", "tags", "responses"} <= set(operation), operation_id
        assert set(operation["tags"]) <= tags, operation_id
        for status, response in operation["responses"].items():
            assert re.fullmatch("[1-5][0-9][0-9]", status), (operation_id, status)
            assert contract.resolve(response)["description"], (operation_id, status)


def test_operation_ids_are_unique(contract):
    ids = [item[m]["operationId"] for item in contract.spec["paths"].values() for m in METHODS if m in item]
    assert len(ids) == len(set(ids))


def test_every_reference_resolves(contract):
    for path, node in walk(contract.spec):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].startswith("#/"), path
            try:
                contract.resolve(node)
            except KeyError:
                pytest.fail(f"{path}: {node['$ref']} leads nowhere")


def test_every_component_is_used(contract):
    used = {node["$ref"] for _, node in walk(contract.spec) if isinstance(node.get("$ref"), str)}
    for kind in ("schemas", "parameters", "responses", "headers", "examples"):
        for name in contract.spec["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, f"{kind}/{name} is used nowhere"


def test_every_schema_is_valid_json_schema(contract):
    for path, schema in schemas(contract):
        Draft202012Validator.check_schema(schema)
        for at, node in walk(schema, path):
            if node.get("type") == "object" and "properties" in node:
                missing = set(node.get("required", [])) - set(node["properties"])
                assert not missing, f"{at}: requires {missing}, which it does not describe"


def test_every_example_keeps_its_schema(contract):
    seen = 0
    for path, media, content in media_types(contract):
        values = [content["example"]] if "example" in content else []
        values += [contract.resolve(e)["value"] for e in content.get("examples", {}).values()]
        for value in values:
            seen += 1
            assert not contract.problems(content["schema"], value), (path, contract.problems(content["schema"], value))
    assert seen > 60


def test_every_json_body_has_an_example(contract):
    for operation_id, (_, _, operation) in contract.operations.items():
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for which, body in bodies.items():
            content = contract.resolve(body).get("content", {}).get("application/json")
            if content:
                assert "example" in content or "examples" in content, (operation_id, which)


def test_path_parameters_are_declared(contract):
    for operation_id, (method, template, operation) in contract.operations.items():
        item = contract.spec["paths"][template]
        parameters = [contract.resolve(p) for p in item.get("parameters", []) + operation.get("parameters", [])]
        declared = {p["name"] for p in parameters if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", template)), operation_id
        assert all(p["required"] for p in parameters if p["in"] == "path")
        names = [(p["in"], p["name"]) for p in parameters]
        assert len(names) == len(set(names)), operation_id
        assert all("schema" in p for p in parameters), operation_id


def test_every_error_is_a_problem_and_every_guarded_operation_says_401_and_403(contract):
    for operation_id, (_, _, operation) in contract.operations.items():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert "application/problem+json" in contract.resolve(response)["content"], (operation_id, status)
        if operation.get("security") != []:
            assert {"401", "403"} <= set(operation["responses"]), operation_id
            assert re.search(r"Scope `(read|write|steward|admin)`", operation["description"]), operation_id


def test_requests_are_closed_so_that_unknown_members_are_refused(contract):
    for operation_id, (_, _, operation) in contract.operations.items():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body and not operation_id.startswith("postLineage"):
            assert contract.resolve(body["schema"]).get("additionalProperties") is False, operation_id


def test_server_has_a_route_for_every_operation_and_no_other(contract):
    routes = {(method.lower(), pattern): operation for method, pattern, operation in server_routes()}
    assert len(routes) == len(server_routes()) > 30
    promised = {(method, template): operation_id for operation_id, (method, template, _) in contract.operations.items()}
    assert routes == promised


def test_routes_ask_for_the_scope_that_the_contract_names(contract):
    from harness.contract import ROOT
    text = (ROOT / "server" / "routes.c").read_text(encoding="utf-8")
    rows = re.findall(r'"(\w+)",\s*(?:SCOPE_(\w+)|0),', text[text.index("const struct route routes[]"):])
    assert len(rows) == len(contract.operations)
    for operation_id, scope in rows:
        operation = contract.operations[operation_id][2]
        if scope:
            assert re.match(r"\s*Scope `(\w+)`", operation["description"])[1] == scope.lower(), operation_id
        else:
            assert operation["security"] == [], operation_id


def test_server_serves_this_contract(api, contract):
    assert api.get("/openapi.json").json() == contract.spec


def test_server_knows_every_member_and_parameter_that_the_contract_names_and_no_other(api, contract):
    """Each is sent with a value of the wrong type: the server may complain about anything but that it does not know it."""
    wrong = []

    def complaints(method, template, pointer, **kwargs):
        path = re.sub(r"{\w+}", "00000000-0000-4000-8000-000000000000", template)
        kwargs.setdefault("headers", {})["Accept"] = "application/json"
        reply = api.call(method.upper(), path, **kwargs)
        return [e["detail"] for e in reply.json().get("errors", []) if e["pointer"] == pointer] \
            if "json" in reply.headers.get("Content-Type", "") else []

    for operation_id, (method, template, operation) in contract.operations.items():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body and not operation_id.startswith("postLineage"):
            for name in [*contract.resolve(body["schema"])["properties"], "no_such_member"]:
                said = complaints(method, template, f"/{name}", json={name: [[]], "no_such_member": 1})
                if any("is not a known" in d for d in said) != (name == "no_such_member"):
                    wrong.append((operation_id, name, said))
        parameters = contract.spec["paths"][template].get("parameters", []) + operation.get("parameters", [])
        names = [p["name"] for p in map(contract.resolve, parameters) if p["in"] == "query"]
        if operation.get("security") == [] or operation_id in ("putDocuments", "postLineage", "postLineageMarquez"):
            continue  # probes and foreign clients may say what they like; bulk bodies have tests of their own
        for name in [*names, "no_such_parameter"]:
            more = {"data": b"{}", "headers": {"Content-Type": "application/json"}} if method in ("post", "patch") else {}
            said = complaints(method, template, f"?{name}", params={name: "\u00ff"}, **more)
            if any("is not a known" in d for d in said) != (name == "no_such_parameter"):
                wrong.append((operation_id, "?" + name, said))
    assert not wrong, wrong


def test_checker_finds_what_is_wrong():
    contract = Contract()
    headers = {"X-Request-Id": "r", "Content-Type": "application/json"}
    ok = b'{"status":"ok","version":"1"}'
    assert contract.check_reply("getHealth", 200, headers, ok) == []
    assert contract.check_reply("getHealth", 500, headers, ok)
    assert contract.check_reply("getHealth", 200, {"Content-Type": "application/json"}, ok)
    assert contract.check_reply("getHealth", 200, {**headers, "Content-Type": "text/html"}, ok)
    assert contract.check_reply("getHealth", 200, headers, b'{"status":"ok","version":"1","more":1}')
    assert contract.check_reply("getHealth", 200, headers, b'{"status":"ok"}')
    assert contract.check_reply("getHealth", 200, headers, b"{")
    assert contract.check_reply("deleteKey", 204, headers, b"x")


def test_every_operation_was_called(contract, whole_suite):
    if not whole_suite:
        pytest.skip("only a part of the integration tests was collected")
    succeeded = {op for op, statuses in client.CALLED.items() if any(s < 400 for s in statuses)}
    missing = set(contract.operations) - succeeded
    assert not missing, f"no test called {sorted(missing)} with success"
