"""Makes static embedding models (Model2Vec layout) of a few words, with nothing but the standard library."""
import json
import math
import random
import struct


def safetensors(tensors):
    """tensors: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def wordpiece(words):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None, "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {w: i for i, w in enumerate(["[UNK]", *words])}}}


def unigram(words):
    vocab = [["<unk>", 0.0], *(["\u2581" + w, -5.0 - i / 100] for i, w in enumerate(words))]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFKC"}, {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "post_processor": None, "decoder": None,
            "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}}


class StaticModel:
    """A folder with a model of whole words, and what its vectors must be."""

    def __init__(self, folder, words, dim=32, seed=1, make=wordpiece, half=False):
        self.words, self.dim = words, dim
        rng = random.Random(seed)
        self.rows = [[round(rng.gauss(0, 1) * 64) / 64 for _ in range(dim)] for _ in range(len(words) + 1)]
        numbers = [x for row in self.rows for x in row]
        content = struct.pack(f"<{len(numbers)}{'e' if half else 'f'}", *numbers)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(
            safetensors({"embeddings": ("F16" if half else "F32", [len(self.rows), dim], content)}))
        (folder / "tokenizer.json").write_text(json.dumps(make(words)))
        (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))

    def vector(self, text):
        """Of words parted by blanks; unknown ones are left out."""
        ids = [self.words.index(w) + 1 for w in text.lower().split() if w in self.words]
        return unit([sum(self.rows[i][d] for i in ids) for d in range(self.dim)])

    def cosine(self, a, b):
        return sum(x * y for x, y in zip(self.vector(a), self.vector(b)))


def unit(v):
    norm = math.sqrt(sum(x * x for x in v))
    return [x / norm for x in v]
