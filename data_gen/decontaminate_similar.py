"""Questions that mean the same in other words: cosine similarity of embeddings, which n-grams cannot see.

The embedder is passed in (`launch.decontaminate` makes one of a Qwen3-Embedding checkpoint), so nothing here needs an
accelerator library. What is compared are questions: the one that a record asks and every sentence of it that ends in a
question mark; a statement lies far from a question whatever it says.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from data_gen.decontaminate_index import Match
from data_gen.errors import UserError
from data_gen.schema import Question, Record

# Texts -> float [len(texts), D]; rows need not be normalised.
Embed = Callable[[Sequence[str]], np.ndarray]

_SENTENCE = re.compile(r'[^.!?\n]*\?')
_MOST = 20  # sentences of one record
_LONGEST = 1000  # characters of one


class SimilarQuestions:
  """The questions' embeddings.

  Args:
    threshold: least cosine that counts as the same question.
  """

  def __init__(self, questions: Sequence[Question], embed: Embed, threshold: float):
    if not 0 < threshold <= 1:
      raise UserError(f'--similarity={threshold}: expected a cosine above 0, at most 1')
    self._questions, self._embed, self._threshold = questions, embed, threshold
    self._index_QD = self._unit([q.question for q in questions])

  def matches(self, records: Sequence[Record]) -> list[list[Match]]:
    """For each record at most one match a question."""
    asked = [_questions_of(record) for record in records]
    texts = list(dict.fromkeys(text for of_record in asked for text in of_record))
    if not texts:
      return [[] for _ in records]
    cosine_TQ = self._unit(texts) @ self._index_QD.T
    place = {text: i for i, text in enumerate(texts)}
    return [self._best(of_record, [place[text] for text in of_record], cosine_TQ) for of_record in asked]

  def _best(self, texts: Sequence[str], rows: Sequence[int], cosine_TQ: np.ndarray) -> list[Match]:
    if not rows:
      return []
    cosine_RQ = cosine_TQ[list(rows)]
    best: list[int] = cosine_RQ.argmax(0).tolist()
    near = np.flatnonzero(cosine_RQ.max(0) >= self._threshold).tolist()
    return [Match(self._questions[i].id, 'embedding', 'question', texts[best[i]],
                  round(float(cosine_RQ[best[i], i]), 4)) for i in near]

  def _unit(self, texts: Sequence[str]) -> np.ndarray:
    embedded = np.asarray(self._embed(list(texts)), np.float32)
    if embedded.ndim != 2 or len(embedded) != len(texts) or not np.isfinite(embedded).all():
      raise UserError(f'--embedder: gave an array of shape {embedded.shape} for {len(texts)} texts, or values that are '
                      'not finite')
    return embedded / np.maximum(np.linalg.norm(embedded, axis=1, keepdims=True), 1e-12)


def _questions_of(record: Record) -> list[str]:
  """What a record asks; of replay text nothing."""
  if record.kind == 'replay':
    return []
  contents = [record.text] if record.text is not None else [m['content'] for m in record.messages or ()]
  found = [record.question] if record.question else []
  found += [sentence.strip() for text in contents for sentence in _SENTENCE.findall(text)]
  return [text[:_LONGEST] for text in dict.fromkeys(found) if len(text) > 1][:_MOST]
