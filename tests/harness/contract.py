"""openapi/openapi.yaml, and holding requests and replies to it."""
import copy
import json
import pathlib
import re

import yaml
from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "patch", "delete", "head", "options")


def load():
    with open(ROOT / "openapi" / "openapi.yaml", encoding="utf-8") as f:
        return yaml.safe_load(f)


class Contract:
    def __init__(self, spec=None):
        self.spec = spec or load()
        self.validators = {}
        self.operations = {}  # operationId -> (method, template, operation)
        self.templates = []   # (regex, template), literal paths before those with parameters
        for template, item in self.spec["paths"].items():
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
            self.templates.append((re.compile(pattern + r"\Z"), template))
            for method in METHODS:
                if method in item:
                    self.operations[item[method]["operationId"]] = (method, template, item[method])
        self.templates.sort(key=lambda pair: pair[1].count("{"))

    def resolve(self, node):
        """Follows a $ref (of the document's own)."""
        while isinstance(node, dict) and "$ref" in node and node["$ref"].startswith("#/"):
            target = self.spec
            for part in node["$ref"][2:].split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def find(self, method, path):
        """operationId of a request, or None. `path` is without the query."""
        for regex, template in self.templates:
            if regex.match(path):
                operation = self.spec["paths"][template].get(method.lower())
                return operation["operationId"] if operation else None
        return None

    def validator(self, schema):
        """A schema of the document with the document's components at hand, so that its references resolve."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            whole = copy.copy(schema)
            whole["components"] = self.spec["components"]
            self.validators[key] = Draft202012Validator(whole)
        return self.validators[key]

    def problems(self, schema, value):
        return [f"{'/'.join(map(str, e.absolute_path)) or '(root)'}: {e.message[:300]}"
                for e in self.validator(schema).iter_errors(value)]

    def check_reply(self, operation_id, status, headers, body):
        """The list of what is wrong with a reply; empty when it keeps the contract."""
        method, template, operation = self.operations[operation_id]
        where = f"{method.upper()} {template} -> {status}"
        response = self.resolve(operation["responses"].get(str(status)))
        if response is None:
            return [f"{where}: the contract knows no such status (body: {body[:300]!r})"]
        wrong = []
        for name in response.get("headers", {}):
            header = self.resolve(response["headers"][name])
            if name not in headers:
                replayed = "Idempotency-Replayed" in headers  # status and body are kept for a replay, nothing else
                if name != "Location" and not replayed:
                    wrong.append(f"{where}: no {name} header")
                continue
            value = headers[name]
            if header["schema"].get("type") == "integer":
                value = int(value) if value.isdigit() else value
            wrong += [f"{where}: header {name}: {p}" for p in self.problems(header["schema"], value)]
        content = response.get("content", {})
        if not content:
            if body:
                wrong.append(f"{where}: has a body where none is foreseen: {body[:200]!r}")
            return wrong
        media = headers.get("Content-Type", "").split(";")[0].strip()
        if media not in content:
            return wrong + [f"{where}: Content-Type {media!r} is not one of {sorted(content)}: {body[:200]!r}"]
        schema = content[media].get("schema", {})
        if media == "application/json" or media.endswith("+json"):
            try:
                value = json.loads(body.decode("utf-8"))
            except ValueError as e:
                return wrong + [f"{where}: not JSON: {e}"]
            wrong += [f"{where}: {p}" for p in self.problems(schema, value)]
            if media == "application/problem+json" and isinstance(value, dict) and value.get("status") != status:
                wrong.append(f"{where}: the problem says status {value.get('status')}")
        return wrong

    def check_request(self, operation_id, value):
        """What is wrong with a JSON request body that the server has accepted."""
        body = self.resolve(self.operations[operation_id][2].get("requestBody", {}))
        schema = body.get("content", {}).get("application/json", {}).get("schema")
        return self.problems(schema, value) if schema else []


def server_routes():
    """(method, pattern, operation) of every row of server/routes.c."""
    text = (ROOT / "server" / "routes.c").read_text(encoding="utf-8")
    table = text[text.index("const struct route routes[]"):]
    rows = re.findall(r'(?:ROUTE\("(\w+)",|\b(GET|POST)\()\s*"(/[^"]*)",\s*"(\w+)"', table)
    return [(routed or short, pattern, operation) for routed, short, pattern, operation in rows]
