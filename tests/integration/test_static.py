"""Collections whose vectors come from a static model on the server's disk."""
import json
import random
import shutil
import struct

import pytest

from harness.server import wait_until
from harness.static_model import StaticModel, safetensors, unigram, unit

WORDS = ("glacier valley rock ice river snow violin maker spruce belly maple bow bread flour oven yeast salt water "
         "harbour ship sail anchor rope tide").split()
TEXTS = {"ice": "Glacier ice carves the valley rock", "violin": "The violin maker took spruce and maple",
         "bread": "Bread of flour water salt and yeast", "harbour": "A ship at anchor in the harbour waits for the tide"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return folder, {"small": StaticModel(folder / "small", WORDS),
                    "half": StaticModel(folder / "half", WORDS, seed=2, half=True),
                    "unigram": StaticModel(folder / "unigram", WORDS, dim=48, seed=3, make=unigram)}


@pytest.fixture(scope="module")
def server(new_server, models):
    return new_server(models_dir=models[0])


@pytest.fixture(scope="module")
def api(server):
    return server.admin()


def embedded(key):
    """What is embedded for a document without title and headings: its key stands for the title."""
    return f"{key}\n{TEXTS[key]}"


def fill(api, name, model, **more):
    made = api.collection(name, embedder={"kind": "static", "model": model, **more})
    api.source(name, "src")
    for key, text in TEXTS.items():
        api.put(name, key, text)
    return made


@pytest.mark.parametrize("model", ["small", "half", "unigram"])
def test_vectors_are_the_mean_of_the_known_words(api, models, model):
    made = fill(api, f"mean-{model}", model)
    reference = models[1][model]
    assert made["embedder"]["dim"] == reference.dim
    assert len(made["embedder"]["digest"]) == 64
    for query in ("glacier snow", "MAPLE Bow bow", "ship unheard tide", "salt"):
        hits = api.search(f"mean-{model}", query, mode="vector", exact=True)["hits"]
        assert {h["document"] for h in hits} == set(TEXTS)
        for hit in hits:
            assert hit["score"] == pytest.approx(reference.cosine(query, embedded(hit["document"])), abs=2e-5)


def test_query_without_a_known_word_is_answered_by_words(api):
    fill(api, "unknown-words", "small")
    assert api.search("unknown-words", "carves", mode="vector")["hits"] == []
    reply = api.search("unknown-words", "carves")
    assert [h["document"] for h in reply["hits"]] == ["ice"]
    assert not reply["degraded"]


def test_client_vector_goes_with_a_static_model_as_with_any(api, models):
    fill(api, "own-vector", "small")
    vector = models[1]["small"].vector("bread")
    assert api.search("own-vector", vector=vector, mode="vector", k=1)["hits"][0]["document"] == "bread"
    api.problem("POST", "/search", 400, pointer="/vector",
                json={"collection": "own-vector", "vector": vector[:-1], "mode": "vector"})


def test_digest_and_dimension_pin_the_model(api):
    digest = api.collection("pin-a", embedder={"kind": "static", "model": "small"})["embedder"]["digest"]
    again = api.collection("pin-b", embedder={"kind": "static", "model": "small", "digest": digest.upper(), "dim": 32})
    other = api.collection("pin-c", embedder={"kind": "static", "model": "half"})
    first = api.get("/collections/pin-a").json()
    assert again["embedder"] == first["embedder"] and again["embedder_id"] == first["embedder_id"]
    assert other["embedder_id"] != first["embedder_id"]
    for wrong, pointer in (({"digest": "0" * 64}, "/embedder/digest"), ({"dim": 33}, "/embedder/dim")):
        api.problem("POST", "/collections", 422, "model-changed", pointer,
                    json={"name": "pin-d", "embedder": {"kind": "static", "model": "small", **wrong}})


@pytest.mark.parametrize("embedder, status, slug, pointer", [
    ({"model": "absent"}, 422, "unknown-model", "/embedder/model"),
    ({"model": "../small"}, 400, None, "/embedder/model"), ({"model": ".."}, 400, None, "/embedder/model"),
    ({"model": "/etc"}, 400, None, "/embedder/model"), ({"model": ""}, 400, None, "/embedder/model"),
    ({"model": 7}, 400, None, "/embedder/model"), ({}, 400, None, "/embedder/model"),
    ({"model": "small", "digest": "xyz"}, 400, None, "/embedder/digest"),
    ({"model": "small", "dim": 5000}, 400, None, "/embedder/dim"),
    ({"model": "small", "base_url": "http://h/v1"}, 400, None, "/embedder/base_url"),
])
def test_wrong_declarations_are_refused(api, embedder, status, slug, pointer):
    api.problem("POST", "/collections", status, slug, pointer,
                json={"name": "refused", "embedder": {"kind": "static", **embedder}})
    api.call("GET", "/collections/refused", 404)


def broken(folder, what):
    """Damages one file of a good model."""
    StaticModel(folder, WORDS)
    matrix, tokenizer, config = folder / "model.safetensors", folder / "tokenizer.json", folder / "config.json"
    size = len(WORDS) + 1
    numbers = struct.pack(f"<{size}f", *range(size))
    writes = {
        "truncated": lambda: matrix.write_bytes(matrix.read_bytes()[:-1]),
        "empty": lambda: matrix.write_bytes(b""),
        "no header": lambda: matrix.write_bytes(b"\xff" * 64),
        "not finite": lambda: matrix.write_bytes(safetensors(
            {"embeddings": ("F32", [size, 1], numbers[:-4] + struct.pack("<f", float("nan")))})),
        "one dimension": lambda: matrix.write_bytes(safetensors({"embeddings": ("F32", [size], numbers)})),
        "whole numbers": lambda: matrix.write_bytes(safetensors({"embeddings": ("I32", [size, 1], numbers)})),
        "too few rows": lambda: matrix.write_bytes(safetensors({"embeddings": ("F32", [size - 1, 1], numbers[4:])})),
        "no tokenizer": tokenizer.unlink,
        "tokenizer no JSON": lambda: tokenizer.write_text("{"),
        "tokenizer of another kind": lambda: tokenizer.write_text(json.dumps({"model": {"type": "BPE"}})),
        "deep tokenizer": lambda: tokenizer.write_text("[" * 100000),
        "config is a folder": lambda: (config.unlink(), config.mkdir()),
        "config no object": lambda: config.write_text("3"),
    }
    writes[what]()


@pytest.mark.parametrize("what", ["truncated", "empty", "no header", "not finite", "one dimension", "whole numbers",
                                  "too few rows", "no tokenizer", "tokenizer no JSON", "tokenizer of another kind",
                                  "deep tokenizer", "config is a folder", "config no object"])
def test_damaged_models_are_refused(api, models, what):
    name = what.replace(" ", "-")
    broken(models[0] / name, what)
    problem = api.problem("POST", "/collections", 422, "model-unusable", "/embedder/model",
                          json={"name": "damaged", "embedder": {"kind": "static", "model": name}})
    assert str(models[0]) not in json.dumps(problem)
    api.call("GET", "/collections/damaged", 404)


def test_server_without_models_says_so(new_server):
    problem = new_server().admin().problem("POST", "/collections", 422, "unknown-model", "/embedder/model",
                                           json={"name": "none", "embedder": {"kind": "static", "model": "small"}})
    assert "models_dir" in problem["detail"]


def test_restart_gives_the_same_hits_and_another_model_is_never_mixed_in(new_server, tmp_path):
    model = StaticModel(tmp_path / "models" / "m", WORDS)
    server = new_server(models_dir=tmp_path / "models")
    api = server.admin()
    fill(api, "kept", "m")
    before = api.search("kept", "snow tide", mode="vector", exact=True)["hits"]
    server.stop()
    shutil.rmtree(server.data_dir / "index")
    server.start()
    wait_until("the index to be rebuilt", lambda: len(api.search("kept", "snow tide", mode="vector")["hits"]) == 4)
    after = api.search("kept", "snow tide", mode="vector", exact=True)["hits"]
    assert [(h["chunk"], h["score"]) for h in after] == [(h["chunk"], h["score"]) for h in before]
    server.stop()
    (tmp_path / "models" / "m").rename(tmp_path / "models" / "old")
    StaticModel(tmp_path / "models" / "m", WORDS, seed=9)
    server.start()
    api.call("POST", "/search", 404, json={"collection": "kept", "query": "snow"})
    assert "another digest" in server.log()
    server.stop()
    shutil.rmtree(tmp_path / "models" / "m")
    (tmp_path / "models" / "old").rename(tmp_path / "models" / "m")
    server.start()
    wait_until("the index to be back", lambda: len(api.search("kept", "snow tide", mode="vector")["hits"]) == 4)
    assert api.search("kept", "snow", mode="vector", k=1)["hits"][0]["score"] == \
        pytest.approx(max(model.cosine("snow", embedded(key)) for key in TEXTS), abs=2e-5)


ODD = ["naïve Café in İstanbul", "東京 and 中国 trade", "it's a state-of-the-art thing, isn't it?", "Straße und ﬁne ＡＢＣ １２",
       "tabs\tand   blanks", "word" * 40, "[UNK] [CLS] brackets", "½ ² 12,5 %", "한국어 문장 ไทย", "a\u200bb c\u00add"]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_real_tokenizers_give_the_same_vectors(api, models, kind):
    """Trained with the tokenizers package where it is installed, against its own ids."""
    tokenizers = pytest.importorskip("tokenizers")
    corpus = [*ODD, *TEXTS.values(), " ".join(WORDS)] * 3
    if kind == "wordpiece":
        t = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer = tokenizers.normalizers.BertNormalizer(), tokenizers.pre_tokenizers.BertPreTokenizer()
        trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=250, special_tokens=["[UNK]", "[CLS]"], show_progress=False)
    else:
        t = tokenizers.Tokenizer(tokenizers.models.Unigram())
        t.normalizer, t.pre_tokenizer = tokenizers.normalizers.NFKC(), tokenizers.pre_tokenizers.Metaspace()
        trainer = tokenizers.trainers.UnigramTrainer(vocab_size=250, special_tokens=["<unk>", "[CLS]"], unk_token="<unk>",
                                                     show_progress=False)
    t.train_from_iterator(corpus, trainer)
    rng, size = random.Random(5), t.get_vocab_size()
    rows = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(size)]
    folder = models[0] / f"real-{kind}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(
        {"embeddings": ("F32", [size, 16], struct.pack(f"<{size * 16}f", *(x for row in rows for x in row)))}))
    (folder / "config.json").write_text("{}")
    t.save(str(folder / "tokenizer.json"))
    name = f"real-{kind}"
    api.collection(name, embedder={"kind": "static", "model": name})
    api.source(name, "src")
    api.put(name, "ice", TEXTS["ice"])

    def vector(text):
        ids = [i for i in t.encode(text, add_special_tokens=False).ids if i != 0]
        return unit([sum(rows[i][d] for i in ids) for d in range(16)]) if ids else None
    for text in ODD:
        if vector(text) is None:
            assert api.search(name, text, mode="vector")["hits"] == [], text
            continue
        expected = sum(x * y for x, y in zip(vector(text), vector(embedded("ice"))))
        hits = api.search(name, text, mode="vector", exact=True)["hits"]
        assert hits[0]["score"] == pytest.approx(expected, abs=2e-5), text
