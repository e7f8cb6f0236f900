"""The evaluation tool of bench/finding: its measures by trec_eval's definitions, its reference, and a whole run."""
import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "bench" / "finding"
sys.path.insert(0, str(TOOL))

import metrics  # noqa: E402
import porter  # noqa: E402
import reference  # noqa: E402


def test_ndcg_takes_the_grade_as_gain_and_the_logarithm_of_rank_plus_one_as_discount():
    judged = {"a": 2, "b": 1, "c": 0}
    # DCG = 1/log2(2) + 2/log2(4) = 2; ideal = 2/log2(2) + 1/log2(3)
    assert metrics.ndcg(["b", "c", "a"], judged) == pytest.approx(2 / (2 + 1 / math.log2(3)))
    assert metrics.ndcg(["a", "b"], judged) == pytest.approx(1)
    assert metrics.ndcg(["x", "c"], judged) == 0


def test_ndcg_of_the_wikipedia_example():
    """Grades 3 2 3 0 1 2 in the order returned, 3 and 2 more not returned; gains linear as in trec_eval."""
    judged = {"d1": 3, "d2": 2, "d3": 3, "d4": 0, "d5": 1, "d6": 2, "d7": 3, "d8": 2}
    assert metrics.ndcg(["d1", "d2", "d3", "d4", "d5", "d6"], judged, 6) == pytest.approx(0.785, abs=5e-4)


def test_ndcg_cuts_ranking_and_ideal_at_ten():
    judged = {f"r{i}": 1 for i in range(20)}
    assert metrics.ndcg([f"r{i}" for i in range(20)], judged) == pytest.approx(1)
    assert metrics.ndcg([f"x{i}" for i in range(10)] + ["r0"], judged) == 0


def test_average_precision_divides_by_all_that_is_relevant():
    """Relevant at ranks 1, 3 and 6 of five relevant ones: (1/1 + 2/3 + 3/6) / 5."""
    judged = dict.fromkeys("abcde", 1)
    assert metrics.average_precision(["a", "x", "b", "y", "z", "c"], judged) == pytest.approx((1 + 2 / 3 + 0.5) / 5)
    assert metrics.average_precision([], judged) == 0


def test_recall_and_reciprocal_rank_are_cut():
    judged = {"a": 1, "b": 3, "n": 0, "m": -1}
    far = [f"x{i}" for i in range(99)] + ["a", "b"]
    assert metrics.recall(far, judged) == 0.5
    assert metrics.reciprocal_rank(far, judged) == 0
    assert metrics.reciprocal_rank(["n", "m", "b"], judged) == pytest.approx(1 / 3)


def test_means_are_over_judged_queries_and_what_found_nothing_counts():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "unjudged": {"c": 0}}
    means = metrics.evaluate({"q1": ["a"], "unjudged": ["c"]}, qrels)
    assert means == {"nDCG@10": 0.5, "recall@100": 0.5, "MRR@10": 0.5, "MAP": 0.5}
    assert metrics.evaluate({}, {})["MAP"] == 0


def test_a_document_stands_where_its_best_chunk_does():
    assert metrics.collapse(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


@pytest.mark.parametrize("word, stem", [line.split() for line in """
    caresses caress|ponies poni|ties ti|cats cat|feed feed|agreed agre|plastered plaster|bled bled|motoring motor
    |sing sing|conflated conflat|troubled troubl|sized size|hopping hop|falling fall|hissing hiss|filing file
    |happy happi|sky sky|relational relat|conditional condit|vietnamization vietnam|triplicate triplic|hopeful hope
    |goodness good|revival reviv|adjustment adjust|adoption adopt|effective effect|probate probat|rate rate|cease ceas
    |controll control|roll roll|generalizations gener|oscillators oscil""".replace("\n", "").split("|")])
def test_porter_by_the_examples_of_the_paper(word, stem):
    assert porter.stem(word) == stem


def test_reference_scores_by_the_formula():
    bm25 = reference.Bm25([("1", "cats sleep"), ("2", "cats cats chase dogs"), ("3", "birds")])
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    second = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / (7 / 3)))
    assert dict(bm25.impacts("cat", 1.2, 0.75))[1] == pytest.approx(second)
    assert bm25.search("the cat", 10, 1.2, 0.75) == ["2", "1"]
    assert bm25.search("cat sleep", 1, 0.9, 0.4) == ["1"]
    assert reference.tokens("The cats", reference.STOP_WORDS) == ["cat"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "tiny set"
    place.mkdir()
    corpus = [{"_id": "d1", "title": "Volcanoes", "text": "Magma rises through the crust and erupts as lava."},
              {"_id": "d2", "title": "Violins", "text": "A violin has four strings tuned in fifths."},
              {"_id": "d3", "title": "", "text": "Bees dance to tell each other where the flowers are."},
              {"_id": "empty", "title": "", "text": ""}]
    queries = [{"_id": "q1", "text": "How many strings does a violin have?"}, {"_id": "q2", "text": "erupting lava *"},
               {"_id": "q3", "text": "not judged"}]
    place.joinpath("corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)), encoding="utf-8")
    place.joinpath("queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    place.joinpath("qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\nq2\td1\t2\n", encoding="utf-8")
    return place


def run_tool(api, *arguments):
    environment = {**os.environ, "ASSAY_URL": api.server.url, "ASSAY_KEY": api.key, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, str(TOOL / "finding.py"), *map(str, arguments)], env=environment, timeout=120,
                          capture_output=True, text=True)


def test_a_folder_is_fed_searched_and_judged(api, folder, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    done = run_tool(api, folder, "--runs", runs)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    for mode in ("lexical", "hybrid"):
        assert [mode, "1.0000", "1.0000", "1.0000", "1.0000", "1.000"] in rows, done.stdout
    assert "4 documents, 1 refused" in done.stdout
    assert "geometric mean" in done.stdout
    run = (runs / "tiny set.lexical.run").read_text(encoding="utf-8").splitlines()
    assert run[0].split()[:4] == ["q1", "Q0", "d2", "1"]


def test_faulty_folders_and_arguments_are_named(api, folder, tmp_path):
    folder.joinpath("qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\tyes\n", encoding="utf-8")
    done = run_tool(api, folder)
    assert done.returncode != 0 and "qrels.tsv:2" in done.stderr
    assert "no qrels.tsv" in run_tool(api, tmp_path).stderr
    folder.joinpath("qrels.tsv").write_text("q1\td2\t1\n", encoding="utf-8")
    folder.joinpath("corpus.jsonl").write_text('{"_id":"d2"}\n{', encoding="utf-8")
    assert "corpus.jsonl:2" in run_tool(api, folder).stderr
    assert "unknown mode" in run_tool(api, folder, "--modes", "lexical,psychic").stderr
