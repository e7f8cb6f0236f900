"""What `make bench` judges by: recall, the least beam, verdicts. The bars themselves are not tests."""
import array
import json
import sys

import pytest

from harness.contract import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import common  # noqa: E402
import dataset  # noqa: E402


@pytest.fixture
def verdicts(tmp_path, monkeypatch):
    path = tmp_path / "verdicts"
    monkeypatch.setenv("BENCH_VERDICTS", str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_recall_counts_what_was_found_of_what_there_is(tmp_path):
    rows = array.array("i", list(range(10)) + [10, 11] + [-1] * 8)
    (tmp_path / "x.truth").write_bytes(rows.tobytes())
    truth = common.read_truth(tmp_path / "x.truth")
    assert truth == [list(range(10)), [10, 11]]
    assert common.recall_of([[str(n) for n in range(10)], ["11", "10"]], truth) == (1.0, 0)
    assert common.recall_of([range(5, 15), [10, 11]], truth) == (7 / 12, 0)
    assert common.recall_of([range(9), [10, 11, 12]], truth) == (11 / 12, 2), "one answer too short, one too long"
    assert common.recall_of([[]], [[]]) == (1.0, 0)


@pytest.mark.parametrize("needed", [1, 10, 11, 19, 20, 21, 57, 511, 512])
def test_the_least_beam_is_found_with_few_tries(needed):
    tried = []

    def recall(ef):
        tried.append(ef)
        return 0.99 if ef >= needed else 0.98

    assert dataset.least(recall, 0.99, 512) == max(needed, common.K)
    assert len(tried) < 20


def test_a_beam_that_is_never_enough_is_the_limit():
    assert dataset.least(lambda ef: 0.5, 0.99, 100) == 100


@pytest.mark.parametrize("value, op, limit, expected", [
    (0.7, ">=", 0.7, "PASS"), (0.69999, ">=", 0.7, "MISS"), (0.15, "<=", 0.15, "PASS"), (0.151, "<=", 0.15, "MISS"),
    (1, "<", 1, "MISS"), (0, "=", 0, "PASS"), (1, "=", 0, "MISS"), (None, "<=", 1, "MISS"),
    (float("nan"), ">=", 0, "MISS")])
def test_a_verdict_is_what_the_bar_says(verdicts, value, op, limit, expected):
    assert common.verdict(1, "throughput", value, op, limit, "made of") == (expected == "PASS")
    assert [r["verdict"] for r in verdicts()] == [expected]


def test_the_table_has_every_bar_in_order(verdicts, capsys):
    common.verdict(9, "answers too short", 3, "=", 0, "of 1000")
    common.verdict(1, "throughput", 0.75, ">=", 0.7, "a long story " * 20)
    common.skip(4, "throughput to pgvector", "no extension")
    capsys.readouterr()
    common.table()
    out = capsys.readouterr().out
    assert [line.split()[0:2] for line in out.splitlines() if line[2:6] in ("PASS", "MISS", "SKIP")] == \
        [["PASS", "1"], ["SKIP", "4"], ["MISS", "9"]]
    assert "1 PASS, 1 MISS, 1 SKIP" in out


def test_medians():
    assert common.median([3, 1, 2]) == 2
    assert common.median([4, 1, 3, 2]) == 2.5
