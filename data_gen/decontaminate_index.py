"""Word n-grams of evaluation questions, for looking synthetic records up.

Text is lower-cased, NFKC-normalised and stripped of punctuation. A record matches when it shares an 8-gram with a
question (13-gram for replay text), or holds at least half of a question's 5-grams; a question of fewer than five words
only when the record asks the very same. Each question is compared bare and together with its options.

A record may quote its document, and so may a question: its title above all. Where the documents are known, a match
that is gone without the words that the question has from its document counts as `against='document'`.
"""

import dataclasses
import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_gen.schema import Document, Question, Record

LONG, LONG_REPLAY, SHORT, SHARE = 8, 13, 5, 0.5
QUOTE = 'document'
_TITLE_WORDS = 3  # a shorter title in a shared n-gram leaves most of the n-gram to the question
Gram = tuple[str, ...]
_WORD = re.compile(r'[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+')  # Han and kana: one by one


def normalise(text: str) -> list[str]:
  """Words of the text: NFKC, lower case, letters and digits only."""
  return _WORD.findall(unicodedata.normalize('NFKC', text).lower())


def ngrams(words: Sequence[str], n: int) -> Iterator[Gram]:
  """All n-grams in order."""
  return zip(*(words[i:] for i in range(n)))


@dataclasses.dataclass(frozen=True)
class Match:
  """One record's overlap with one question.

  Attributes:
    rule: '8-gram', '13-gram', '5-grams', 'same question' or 'embedding'.
    against: 'question', 'question+options' where only the options bring it about, or 'document' where only words that
      the question quotes from its document do.
    matched: the words that both have (the first such n-gram; for 5-grams those shared, joined by ' ... '); the
      record's sentence for 'embedding'.
    share: of the question's 5-grams that the record holds; the cosine for 'embedding'.
  """
  question_id: str
  rule: str
  against: str
  matched: str
  share: float


class QuestionIndex:
  """N-grams of all questions, for looking records up.

  Args:
    documents: by id; without them a quoted title counts as overlap.
  """

  def __init__(self, questions: Sequence[Question], documents: Mapping[str, Document] | None = None):
    self.questions = questions
    self._full = _Grams(questions, lambda words, question: [words])
    self._own = _Grams(questions, _Quotes(documents).without) if documents else self._full

  def matches(self, record: Record) -> list[Match]:
    """At most one match a question, the strictest rule first; those on quoted words last."""
    asked, texts = texts_of(record)
    found = self._full.matches(asked, texts, record.kind == 'replay')
    if not found or self._own is self._full:
      return list(found.values())
    without = self._own.matches(asked, texts, record.kind == 'replay')
    real = [without[i] for i in found if i in without]
    return real + [dataclasses.replace(match, against=QUOTE) for i, match in found.items() if i not in without]


class _Grams:
  """The n-grams of those stretches of questions that `parts` leaves."""

  def __init__(self, questions: Sequence[Question], parts: Callable[[list[str], Question], list[list[str]]]):
    self._questions = questions
    self._long: dict[int, dict[Gram, list[tuple[int, str]]]] = {LONG: defaultdict(list), LONG_REPLAY: defaultdict(list)}
    self._short: dict[Gram, list[int]] = defaultdict(list)
    self._sizes: list[int] = []  # distinct 5-grams of each entry of _texts
    self._texts: list[tuple[int, str]] = []
    self._entries: dict[tuple[int, str], int] = {}
    self._whole: dict[Gram, int] = {}
    for i, question in enumerate(questions):
      texts = [('question', question.question)]
      if question.options:
        texts.append(('question+options', ' '.join([question.question, *question.options])))
      for against, text in texts:
        words = normalise(text)
        self._add(i, against, words, parts(words, question))

  def _add(self, i: int, against: str, words: list[str], parts: Sequence[list[str]]) -> None:
    for n, index in self._long.items():
      for gram in {gram for part in parts for gram in ngrams(part, n)}:
        index[gram].append((i, against))
    grams = {gram for part in parts for gram in ngrams(part, SHORT)}
    for gram in grams:
      self._short[gram].append(len(self._texts))
    self._entries[i, against] = len(self._texts)
    self._texts.append((i, against))
    self._sizes.append(len(grams))
    if words and not grams:
      self._whole[tuple(words)] = i

  def matches(self, asked: list[str], texts: Sequence[list[str]], replay: bool) -> dict[int, Match]:
    """By number of the question."""
    found: dict[int, Match] = {}
    for words in texts:
      self._match_long(words, LONG_REPLAY if replay else LONG, found)
      if not replay:
        self._match_short(words, found)
    whole = self._whole.get(tuple(asked)) if asked else None
    if whole is not None:
      found.setdefault(whole, Match(self._questions[whole].id, 'same question', 'question', ' '.join(asked), 1.0))
    return found

  def _match_long(self, words: list[str], n: int, found: dict[int, Match]) -> None:
    index = self._long[n]
    for gram in ngrams(words, n):
      if gram in index:
        for i, against in index[gram]:
          if i not in found or (found[i].against != 'question' and against == 'question'):
            share = self._share(words, i, against)
            found[i] = Match(self._questions[i].id, f'{n}-gram', against, ' '.join(gram), share)

  def _share(self, words: list[str], i: int, against: str) -> float:
    entry = self._entries[i, against]
    shared = sum(entry in self._short.get(gram, ()) for gram in set(ngrams(words, SHORT)))
    return round(shared / max(1, self._sizes[entry]), 4)

  def _match_short(self, words: list[str], found: dict[int, Match]) -> None:
    shared: defaultdict[int, list[Gram]] = defaultdict(list)
    for gram in dict.fromkeys(ngrams(words, SHORT)):
      for entry in self._short.get(gram, ()):
        shared[entry].append(gram)
    for entry, grams in shared.items():
      share = len(grams) / self._sizes[entry]
      i, against = self._texts[entry]
      if share >= SHARE and i not in found:
        matched = ' ... '.join(' '.join(g) for g in grams[:20])
        found[i] = Match(self._questions[i].id, f'{SHORT}-grams', against, matched, round(share, 4))


def texts_of(record: Record) -> tuple[list[str], list[list[str]]]:
  """(words of the question that the record asks, words of each of its texts)."""
  if record.text is not None:
    return [], [normalise(record.text), *([normalise(record.question)] if record.question else [])]
  contents = [normalise(m['content']) for m in record.messages or ()]
  asked = normalise(record.question or '') or (contents[0] if contents else [])
  return asked, [asked, *contents]


class _Quotes:
  """What questions quote from their documents: the title, and any five words in a row of the text."""

  def __init__(self, documents: Mapping[str, Document]):
    self._documents = documents
    self._grams = functools.lru_cache(maxsize=8)(self._grams_of)  # questions on one document stand together

  def without(self, words: list[str], question: Question) -> list[list[str]]:
    """The stretches of words between quotes."""
    quoted = [False] * len(words)
    for document_id in question.document_ids:
      if document_id in self._documents:
        for size, grams in self._grams(document_id):
          for start, gram in enumerate(ngrams(words, size)):
            if gram in grams:
              quoted[start:start + size] = [True] * size
    parts: list[list[str]] = [[]]
    for word, is_quoted in zip(words, quoted, strict=True):
      if is_quoted:
        parts.append([])
      else:
        parts[-1].append(word)
    return [part for part in parts if part]

  def _grams_of(self, document_id: str) -> list[tuple[int, set[Gram]]]:
    document = self._documents[document_id]
    grams = [(SHORT, set(ngrams(normalise(document.text), SHORT)))]
    title = normalise(str(document.metadata.get('published_title') or document.title))
    if len(title) >= _TITLE_WORDS:
      grams.append((len(title), {tuple(title)}))
    return grams
