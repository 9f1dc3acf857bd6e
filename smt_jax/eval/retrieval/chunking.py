"""Documents to chunks: recursive splitting at the largest boundary that fits, as in the published RAG baselines.

Nothing is lost: without overlap the chunks' spans cover every character of a document but white space at their edges.
Sizes are in characters (EntiGraph's RAG baseline: 1,024 characters, no overlap, title prefix) or in tokens.
"""

import bisect
import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from data_gen.errors import UserError
from data_gen.schema import Document

Unit = Literal['characters', 'tokens']

# Each pattern ends a piece after its match; tried from the largest boundary to the smallest.
_SEPARATORS = (re.compile(r'\n\s*\n\s*'), re.compile(r'\n'), re.compile(r'(?<=[.!?;])["\'”’)]*\s+'), re.compile(r'\s+'))


@dataclasses.dataclass(frozen=True)
class Chunk:
  """A piece of a document.

  Attributes:
    document_id: the document it comes from.
    title: that document's title.
    text: what is searched and shown: the prefix that names the document, then `body`.
    start, end: the span of the body in the document's text, in characters.
    prefix: the leading part of `text` that is not the document's own.
    sources: what the document was itself written from (a synthetic record's documents).
  """
  document_id: str
  title: str
  text: str
  start: int
  end: int
  prefix: str = ''
  sources: tuple[str, ...] = ()

  @property
  def body(self) -> str:
    return self.text[len(self.prefix):]


def chunk_documents(documents: Iterable[Document], chunk_size: int, unit: Unit = 'characters', overlap: int = 0,
                    prefix: bool = True, tokenizer: Any = None) -> list[Chunk]:
  """Splits documents into chunks of at most `chunk_size` units, the prefix not counted.

  Args:
    documents: in the order in which their chunks are numbered.
    chunk_size: largest chunk, in `unit`s.
    unit: 'characters', or 'tokens' of `tokenizer`.
    overlap: how much of the chunk before a chunk repeats, at most, in `unit`s; it starts at a word.
    prefix: whether each chunk names its document (title, author, date), so that a chunk without names is found too.
    tokenizer: a fast Hugging Face tokenizer; only for 'tokens'.

  Raises:
    UserError: a size below 1, an overlap that is no smaller than the chunk, tokens without a fast tokenizer.
  """
  if chunk_size < 1:
    raise UserError(f'--chunk_size={chunk_size}: expected 1 or more')
  if not 0 <= overlap < chunk_size:
    raise UserError(f'overlap of {overlap}: expected 0 to below the chunk size of {chunk_size}')
  ruler_of = _ruler(unit, tokenizer)
  chunks: list[Chunk] = []
  for document in documents:
    head = _prefix(document) if prefix else ''
    sources = tuple(document.metadata.get('document_ids') or ())
    for start, end in _spans(document.text, ruler_of(document.text), chunk_size, overlap):
      chunks.append(Chunk(document.id, document.title, head + document.text[start:end], start, end, head, sources))
  return chunks


class _Characters:
  """Measures spans of a text in characters."""

  def __init__(self, text: str):
    del text

  def size(self, start: int, end: int) -> int:
    return end - start

  def after(self, start: int, size: int) -> int:
    """The furthest position with at most `size` units between it and `start`."""
    return start + size

  def before(self, end: int, size: int) -> int:
    return end - size


class _Tokens:
  """Measures spans of a text in the tokens of the whole text, which is tokenized once."""

  def __init__(self, text: str, tokenizer: Any):
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    self.starts = [start for start, _ in encoded['offset_mapping']]
    self.length = len(text)

  def size(self, start: int, end: int) -> int:
    return bisect.bisect_left(self.starts, end) - bisect.bisect_left(self.starts, start)

  def after(self, start: int, size: int) -> int:
    index = bisect.bisect_left(self.starts, start) + size
    position = self.starts[index] if index < len(self.starts) else self.length
    return max(position, start + 1)  # several tokens of one character share its position

  def before(self, end: int, size: int) -> int:
    return self.starts[max(0, bisect.bisect_left(self.starts, end) - size)]


_Ruler = _Characters | _Tokens


def _ruler(unit: str, tokenizer: Any) -> Callable[[str], _Ruler]:
  if unit == 'characters':
    return _Characters
  if unit != 'tokens':
    raise UserError(f'unit of chunks {unit!r}: expected characters or tokens')
  if not getattr(tokenizer, 'is_fast', False):
    raise UserError('chunks in tokens need a fast tokenizer (tokenizer.json)')
  return lambda text: _Tokens(text, tokenizer)


def _prefix(document: Document) -> str:
  """What names the document in front of a chunk, e.g. "Breakaway" by Gimble, Stanley (1964)."""
  by = f' by {document.author}' if document.author else ''
  date = f' ({document.date})' if document.date else ''
  return f'"{document.title}"{by}{date}\n' if document.title else ''


def _spans(text: str, ruler: _Ruler, size: int, overlap: int) -> list[tuple[int, int]]:
  """Spans of at most `size` units: pieces merged greedily, then stretched back over the chunk before."""
  limit = size - overlap  # of what is new in a chunk
  spans: list[tuple[int, int]] = []
  start = end = 0
  for piece_end in _pieces(text, 0, len(text), ruler, limit, 0):
    if ruler.size(start, piece_end) > limit and end > start:
      spans.append((start, end))
      start = end
    end = piece_end
  if end > start:
    spans.append((start, end))
  result = []
  for number, (a, b) in enumerate(spans):
    if number and overlap:
      a = _word_start(text, max(spans[number - 1][0], ruler.before(a, overlap)), a)
    trimmed = _trim(text, a, b)
    if trimmed[0] < trimmed[1]:
      result.append(trimmed)
  return result


def _pieces(text: str, start: int, end: int, ruler: _Ruler, limit: int, level: int) -> Iterable[int]:
  """Yields the ends of consecutive pieces of text[start:end], each of at most `limit` units."""
  if ruler.size(start, end) <= limit:
    yield end
    return
  if level == len(_SEPARATORS):  # one long word: cut it
    while ruler.size(start, end) > limit and start < end:
      start = min(end, ruler.after(start, limit))
      yield start
    if start < end:
      yield end
    return
  cuts = [m.end() for m in _SEPARATORS[level].finditer(text, start, end) if start < m.end() < end]
  for cut in [*cuts, end]:
    yield from _pieces(text, start, cut, ruler, limit, level + 1)
    start = cut


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
  while start < end and text[start].isspace():
    start += 1
  while end > start and text[end - 1].isspace():
    end -= 1
  return start, end


def _word_start(text: str, position: int, last: int) -> int:
  """The first word start at or after `position`; `last` if there is none before it."""
  if position == 0 or text[position - 1].isspace():
    return position
  found = re.compile(r'\s').search(text, position, last)
  return found.end() if found else last
