"""A client that holds every reply to the contract, and notes which operations were called."""
import json
import urllib.parse

import requests

CALLED = {}  # operationId -> set of statuses, over the whole session


class ContractBroken(AssertionError):
    pass


def quote(part):
    return urllib.parse.quote(part, safe="")


class Api:
    def __init__(self, server, key):
        self.server = server
        self.key = key
        self.session = requests.Session()
        self.session.verify = False
        self.session.trust_env = False

    def with_key(self, key):
        if key:
            self.server.secrets.add(key)
        return Api(self.server, key)

    # ---- one request ----
    def raw(self, method, path, headers=None, timeout=60, **kwargs):
        """Sends without looking at the reply."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        sent.update(headers or {})
        return self.session.request(method, self.server.url + path, headers=sent, timeout=timeout, **kwargs)

    def call(self, method, path, status=None, operation=None, check=True, **kwargs):
        """Sends, checks against the contract, and against `status` (a number or several) when given."""
        reply = self.raw(method, path, **kwargs)
        if check:
            self.check(method, path, reply, operation, kwargs.get("json"))
        if status is not None:
            expected = (status,) if isinstance(status, int) else status
            assert reply.status_code in expected, \
                f"{method} {path}: {reply.status_code} instead of {status}: {reply.text[:600]}"
        return reply

    def check(self, method, path, reply, operation=None, sent=None):
        contract = self.server.contract
        operation = operation or contract.find(method, path.split("?")[0])
        assert operation, f"{method} {path} is not in the contract"
        CALLED.setdefault(operation, set()).add(reply.status_code)
        wrong = contract.check_reply(operation, reply.status_code, reply.headers, reply.content)
        if sent is not None and reply.status_code < 300:
            wrong += [f"request of {operation}, accepted though the contract forbids it: {p}"
                      for p in contract.check_request(operation, sent)]
        if wrong:
            raise ContractBroken("\n".join(wrong) + "\nreply: " + reply.text[:1500])

    def get(self, path, status=200, **kwargs):
        return self.call("GET", path, status, **kwargs)

    def post(self, path, body=None, status=(200, 201), **kwargs):
        if body is not None:
            kwargs["json"] = body
        return self.call("POST", path, status, **kwargs)

    def delete(self, path, status=(200, 204), **kwargs):
        return self.call("DELETE", path, status, **kwargs)

    def patch(self, path, body, status=200, **kwargs):
        return self.call("PATCH", path, status, json=body, **kwargs)

    # ---- what tests do all the time ----
    def problem(self, method, path, status, slug=None, pointer=None, **kwargs):
        """The request must fail with this status (and slug, and a complaint about this pointer)."""
        reply = self.call(method, path, status, **kwargs)
        problem = reply.json()
        if slug is not None:
            assert problem["type"] == f"urn:assay:problem:{slug}", problem
        if pointer is not None:
            assert pointer in [e["pointer"] for e in problem.get("errors", [])], problem
        return problem

    def key_for(self, name, scopes, groups=(), **more):
        reply = self.post("/keys", {"name": name, "scopes": list(scopes), "groups": list(groups), **more}, 201)
        return self.with_key(reply.json()["key"])

    def collection(self, name, **more):
        return self.post("/collections", {"name": name, **more}, 201).json()

    def source(self, collection, name="src", **more):
        return self.post("/sources", {"collection": collection, "name": name, **more}, 201).json()

    def put(self, collection, key, text=None, source="src", status=(200, 201), **more):
        body = {"collection": collection, "source": source, "id": key, **more}
        if text is not None:
            body["text"] = text
            self.note(text)
        query = "?wait=" + body.pop("wait") if "wait" in body else ""
        return self.post("/documents" + query, body, status).json()

    def note(self, text):
        """Remembers a line of a text, which then must not be in the server's log."""
        lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= 24]
        if lines and len(self.server.secrets) < 400:
            self.server.secrets.add(lines[-1][:60])

    def bulk(self, lines, query="", status=200, **kwargs):
        """NDJSON; lines are objects or raw text."""
        body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        headers = {"Content-Type": "application/x-ndjson"}
        return self.call("POST", "/documents" + query, status, data=body.encode(), headers=headers, **kwargs).json()

    def search(self, collection, query=None, **more):
        body = {"collection": collection, **more}
        if query is not None:
            body["query"] = query
        return self.post("/search", body, 200).json()

    def found(self, collection, query, **more):
        """Ids of the documents that a search finds, in order, each once."""
        more.setdefault("k", 50)
        return list(dict.fromkeys(hit["document"] for hit in self.search(collection, query, **more)["hits"]))

    def document(self, collection, key, status=200):
        return self.get(f"/documents/{quote(key)}?collection={collection}", status).json()

    def canonical(self, collection, key, version):
        path = f"/documents/{quote(key)}/versions/{version}?collection={collection}"
        return self.get(path).json()["canonical"]

    def remove(self, collection, key, status=200):
        return self.delete(f"/documents/{quote(key)}?collection={collection}", status).json()

    def lineage(self, node, status=200, **params):
        query = urllib.parse.urlencode({"nodeId": node, **params})
        return self.get(f"/lineage?{query}", status).json()

    def entries(self, collection, **params):
        query = urllib.parse.urlencode({"collection": collection, **params})
        return self.get(f"/quarantine?{query}").json()["items"]

    def pages(self, path, limit=2, hidden=False):
        """Every item of a list, page by page. No page but the first is empty, unless some items are hidden from us."""
        items, cursor, glue = [], None, "&" if "?" in path else "?"
        for _ in range(1000):
            more = f"&cursor={quote(cursor)}" if cursor else ""
            page = self.get(f"{path}{glue}limit={limit}{more}").json()
            assert len(page["items"]) <= limit
            assert page["items"] or cursor is None or hidden
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items
        raise AssertionError("a list without end")
