"""Measures of a ranking, by trec_eval's definitions (Buckley; NIST, trec_eval 9).

A ranking is a list of document ids, best first; `judged` maps a document to its grade, and a grade of 1 or more is
relevant. Names in trec_eval: ndcg_cut_K (gain = grade, discount log2(rank + 1), ideal from every judged document),
recall_K, recip_rank (of the first K) and map (precision at each relevant document found, over all relevant ones).
"""
import math


def relevant(judged):
    return {d for d, grade in judged.items() if grade > 0}


def ndcg(ranking, judged, k=10):
    gains = sorted((g for g in judged.values() if g > 0), reverse=True)[:k]
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(gains))
    found = sum(max(judged.get(d, 0), 0) / math.log2(i + 2) for i, d in enumerate(ranking[:k]))
    return found / ideal if ideal else 0.0


def recall(ranking, judged, k=100):
    wanted = relevant(judged)
    return len(wanted.intersection(ranking[:k])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranking, judged, k=10):
    wanted = relevant(judged)
    return next((1 / (i + 1) for i, d in enumerate(ranking[:k]) if d in wanted), 0.0)


def average_precision(ranking, judged):
    wanted = relevant(judged)
    hits, total = 0, 0.0
    for i, d in enumerate(ranking):
        if d in wanted:
            hits += 1
            total += hits / (i + 1)
    return total / len(wanted) if wanted else 0.0


MEASURES = {"nDCG@10": ndcg, "recall@100": recall, "MRR@10": reciprocal_rank, "MAP": average_precision}


def evaluate(rankings, qrels):
    """Means over every query with a relevant document; one without a ranking counts 0 (trec_eval -c)."""
    queries = [q for q, judged in qrels.items() if relevant(judged)]
    return {name: sum(f(rankings.get(q, []), qrels[q]) for q in queries) / len(queries) if queries else 0.0
            for name, f in MEASURES.items()}


def collapse(documents):
    """Each document once, at the place of its best chunk."""
    return list(dict.fromkeys(documents))
