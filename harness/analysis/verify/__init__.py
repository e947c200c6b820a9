"""A run's numbers computed again by the field's own implementations, from what the run stored.

None of it uses the code that made the numbers: texts go to sacreBLEU, rouge-score, NLTK and bert-score, masks and
rankings to scikit-learn, SciPy and pycocotools. What they share is what no library has: the reading of free text
(:mod:`gi_bench.harness.reading`) and which replies count (:mod:`gi_bench.harness.metrics.participation`).

    methods      the rows that a number rests on, and what a library makes of them
    texts, embeddings, overlaps, rates, confidences      one method a metric
    checking     both sides beside each other
    telling      tables, sentences, JSON
"""

from gi_bench.harness.analysis.verify.checking import METHODS, Number, Verification, verify_run
from gi_bench.harness.analysis.verify.telling import verification_json, verification_lines

__all__ = ["METHODS", "Number", "Verification", "verification_json", "verification_lines", "verify_run"]
