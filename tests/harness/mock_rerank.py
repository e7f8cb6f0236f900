"""A /rerank endpoint in either shape that prefers passages by a word of the query, and can be told to fail."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MockRerank:
    def __init__(self):
        self.mode = "ok"  # ok, error, refuse, hang, short, twice, infinite, html
        self.requests = []
        self.authorizations = set()
        self.released = threading.Event()
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                mock.answer(self)

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    @staticmethod
    def score(query, text):
        """Counts the last word of the query."""
        return float(text.lower().count(query.lower().split()[-1]))

    def answer(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.requests.append({"path": request.path, **body})
        self.authorizations.add(request.headers.get("Authorization"))
        if self.mode == "hang":
            self.released.wait(30)
        tei = "texts" in body
        name = "score" if tei else "relevance_score"
        scored = [{"index": i, name: self.score(body["query"], t)} for i, t in enumerate(body["texts" if tei else "documents"])]
        scored.sort(key=lambda r: -r[name])
        if self.mode == "short":
            scored.pop()
        if self.mode == "twice":
            scored[0]["index"] = scored[-1]["index"]
        if self.mode == "infinite":
            scored[0][name] = "Infinity"
        out = json.dumps(scored if tei else {"model": body["model"], "results": scored}).encode()
        if self.mode == "html":
            out = b"<html>not found</html>"
        try:
            request.send_response({"error": 503, "refuse": 422}.get(self.mode, 200))
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(out)))
            request.end_headers()
            request.wfile.write(out)
        except OSError:
            pass  # the server gave up waiting, which is what "hang" is for

    def close(self):
        self.released.set()
        self.httpd.shutdown()
        self.httpd.server_close()
