"""Porter's stemmer as published (M. Porter, "An algorithm for suffix stripping", Program 14(3), 1980)."""
import functools

VOWELS = "aeiou"
STEP2 = [("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("abli", "able"),
         ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"),
         ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"),
         ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")]
STEP3 = [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")]
STEP4 = ["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
         "iti", "ous", "ive", "ize"]


def consonant(w, i):
    return w[i] not in VOWELS and (w[i] != "y" or i == 0 or not consonant(w, i - 1))


def measure(w):
    """m in [C](VC)^m[V]."""
    kinds = [consonant(w, i) for i in range(len(w))]
    return sum(1 for i in range(1, len(w)) if kinds[i] and not kinds[i - 1])


def has_vowel(w):
    return any(not consonant(w, i) for i in range(len(w)))


def double_consonant(w):
    return len(w) > 1 and w[-1] == w[-2] and consonant(w, len(w) - 1)


def cvc(w):
    n = len(w)
    return n > 2 and consonant(w, n - 1) and not consonant(w, n - 2) and consonant(w, n - 3) and w[-1] not in "wxy"


def longest(w, endings):
    return max((e for e in endings if w.endswith(e)), key=len, default=None)


def step1(w):
    if w.endswith("sses") or w.endswith("ies"):
        w = w[:-2]
    elif w.endswith("s") and not w.endswith("ss"):
        w = w[:-1]
    if w.endswith("eed"):
        w = w[:-1] if measure(w[:-3]) > 0 else w
    else:
        cut = 2 if w.endswith("ed") else 3 if w.endswith("ing") else 0
        if cut and has_vowel(w[:-cut]):
            w = w[:-cut]
            if w.endswith(("at", "bl", "iz")):
                w += "e"
            elif double_consonant(w) and w[-1] not in "lsz":
                w = w[:-1]
            elif measure(w) == 1 and cvc(w):
                w += "e"
    return w[:-1] + "i" if w.endswith("y") and has_vowel(w[:-1]) else w


def replace(w, pairs):
    ending = longest(w, [p[0] for p in pairs])
    if ending and measure(w[:-len(ending)]) > 0:
        return w[:-len(ending)] + dict(pairs)[ending]
    return w


def step4(w):
    ending = longest(w, STEP4)
    if ending and measure(w[:-len(ending)]) > 1 and (ending != "ion" or w[-4] in "st"):
        return w[:-len(ending)]
    return w


def step5(w):
    if w.endswith("e") and (measure(w[:-1]) > 1 or (measure(w[:-1]) == 1 and not cvc(w[:-1]))):
        w = w[:-1]
    return w[:-1] if measure(w) > 1 and double_consonant(w) and w.endswith("l") else w


@functools.lru_cache(maxsize=None)
def stem(word):
    """Of a word in lower case. What is not plain letters stays as it is."""
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    return step5(step4(replace(replace(step1(word), STEP2), STEP3)))
