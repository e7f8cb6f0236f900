"""An OpenAI-shaped /v1/embeddings endpoint that counts, and can be told to fail, to hang or to answer nonsense."""
import base64
import hashlib
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def vector(text, dim):
    """Bag of hashed words, so that texts that share words are near; deterministic."""
    v = [0.001] * dim
    for word in text.lower().split():
        v[int.from_bytes(hashlib.sha256(word.strip(".,;:").encode()).digest()[:4], "big") % dim] += 1.0
    return v


class MockEmbeddings:
    def __init__(self, dim=64):
        self.dim = dim
        self.calls = 0
        self.texts = []
        self.authorizations = set()
        self.mode = "ok"  # ok, error, hang, short, wrong_dim, shuffled, poison
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
        self.thread = threading.Thread(target=self.httpd.serve_forever, daemon=True)
        self.thread.start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    def answer(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        self.calls += 1
        self.texts += inputs
        self.authorizations.add(request.headers.get("Authorization"))
        if self.mode == "hang":
            self.released.wait(60)
        status, reply = 200, {"object": "list", "model": body["model"], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        dim = self.dim + 1 if self.mode == "wrong_dim" else self.dim
        data = [{"object": "embedding", "index": i, "embedding": vector(t, dim)} for i, t in enumerate(inputs)]
        if body.get("encoding_format") == "base64":
            for item in data:
                packed = struct.pack(f"<{dim}f", *item["embedding"])
                item["embedding"] = base64.b64encode(packed).decode()
        if self.mode == "shuffled":
            data.reverse()
        if self.mode == "short":
            data = data[:-1]
        reply["data"] = data
        if self.mode == "poison" and any("poison" in text for text in inputs):
            status, reply = 422, {"error": {"message": "no", "type": "bad", "param": None, "code": None}}
        if self.mode == "error":
            status, reply = 500, {"error": {"message": "broken", "type": "server_error", "param": None, "code": None}}
        out = json.dumps(reply).encode()
        try:
            request.send_response(status)
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
