"""The plain reference: BM25 over whole documents, title and text as one, Porter stems, with and without stop words.

Weights as in Robertson and Zaragoza 2009 with the inverse document frequency kept positive (Lucene's form). Nothing
here is clever, so that there is nothing to doubt.
"""
import collections
import math
import re

import porter

WORD = re.compile(r"[^\W_]+")
PARAMETERS = [(0.9, 0.4), (1.2, 0.75)]
# Lucene's English set, dropped before stemming.
STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split())


def tokens(text, stop=frozenset()):
    return [porter.stem(w) for w in WORD.findall(text.lower()) if w not in stop]


class Bm25:
    def __init__(self, documents, stop=frozenset()):
        """`documents`: pairs of id and text."""
        self.stop = stop
        self.ids, self.lengths, self.postings = [], [], collections.defaultdict(list)
        for number, (name, text) in enumerate(documents):
            counts = collections.Counter(tokens(text, stop))
            self.ids.append(name)
            self.lengths.append(sum(counts.values()))
            for term, tf in counts.items():
                self.postings[term].append((number, tf))
        self.average = sum(self.lengths) / max(1, len(self.lengths)) or 1
        self.weighted = {}

    def impacts(self, term, k1, b):
        key = term, k1, b
        if key not in self.weighted:
            found = self.postings.get(term, [])
            idf = math.log(1 + (len(self.ids) - len(found) + 0.5) / (len(found) + 0.5))
            self.weighted[key] = [
                (d, idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * self.lengths[d] / self.average)))
                for d, tf in found]
        return self.weighted[key]

    def search(self, query, depth, k1, b):
        scores = collections.defaultdict(float)
        for term, times in collections.Counter(tokens(query, self.stop)).items():
            for d, impact in self.impacts(term, k1, b):
                scores[d] += times * impact
        # trec_eval's own rule for ties: the later id first.
        best = sorted(scores, key=lambda d: (scores[d], self.ids[d]), reverse=True)[:depth]
        return [self.ids[d] for d in best]
