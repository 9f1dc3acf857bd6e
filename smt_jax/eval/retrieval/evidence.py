"""Retrieval recall: how much of the known evidence, and how often the right document, the shown chunks hold."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from data_gen.schema import Document, Question
from smt_jax.eval.retrieval.chunking import Chunk


@dataclasses.dataclass(frozen=True)
class Recall:
  """Means over questions.

  Attributes:
    document: share of questions with a chunk of one of their documents, or of a record written from one, among those
      shown.
    evidence: mean share of a question's evidence that is shown, in characters without white space; evidence that
      overlaps counts once. None where no question has evidence.
    n_questions, n_with_evidence: how many questions each mean is over.
  """
  document: float
  evidence: float | None
  n_questions: int
  n_with_evidence: int


def recall(questions: Sequence[Question], shown: Sequence[Sequence[Chunk]],
           documents: Mapping[str, Document]) -> Recall:
  """Recall of the chunks shown for each question.

  Args:
    questions: those asked.
    shown: the chunks for each of them.
    documents: all documents by id.
  """
  right_document: list[bool] = []
  parts: list[float] = []
  for question, chunks in zip(questions, shown, strict=True):
    right_document.append(any(set(question.document_ids) & {c.document_id, *c.sources} for c in chunks))
    spans = evidence_spans(question, documents)
    if spans:
      parts.append(_share_shown(spans, chunks, documents))
  return Recall(
    document=sum(right_document) / max(len(right_document), 1), evidence=sum(parts) / len(parts) if parts else None,
    n_questions=len(questions), n_with_evidence=len(parts))


def evidence_spans(question: Question, documents: Mapping[str, Document]) -> list[tuple[str, int, int]]:
  """(document id, start, end) of each piece of evidence that can be found in the documents.

  `metadata.evidence` holds spans, or quotations (strings, or `text` of an object) that are looked up.
  Where an object has both (FinanceBench: a page and the passage on it), the quotation counts if the span holds it.
  """
  spans = []
  for piece in question.metadata.get('evidence') or ():
    spans += _spans_of(piece, question, documents)
  return list(dict.fromkeys(spans))


def _spans_of(piece: Any, question: Question, documents: Mapping[str, Document]) -> list[tuple[str, int, int]]:
  if isinstance(piece, dict):
    document_id, start, end = str(piece.get('document_id')), piece.get('start'), piece.get('end')
    quoted = piece.get('text')
    if document_id in documents and isinstance(start, int) and isinstance(end, int) and start < end:
      passage = _find(quoted, documents[document_id].text[start:end])
      return [(document_id, start + passage[0], start + passage[1]) if passage else (document_id, start, end)]
    candidates = [document_id] if document_id in documents else list(question.document_ids)
  else:
    candidates, quoted = list(question.document_ids), piece
  for document_id in candidates:
    if document_id in documents and (found := _find(quoted, documents[document_id].text)):
      return [(document_id, *found)]
  return []


def _find(quoted: Any, text: str) -> tuple[int, int] | None:
  """Where a quotation first stands in a text, whatever its white space."""
  if not isinstance(quoted, str) or not quoted.strip():
    return None
  start = text.find(quoted.strip())
  if start >= 0:
    return start, start + len(quoted.strip())
  found = re.search(r'\s+'.join(map(re.escape, quoted.split())), text)
  return found.span() if found else None


def _share_shown(spans: Sequence[tuple[str, int, int]], chunks: Sequence[Chunk],
                 documents: Mapping[str, Document]) -> float:
  """Share of the spans' characters, white space apart, that stand in a chunk."""
  wanted = shown = 0
  for document_id in {span[0] for span in spans}:
    text = documents[document_id].text
    marked = {i for own, start, end in spans if own == document_id for i in range(start, min(end, len(text)))
              if not text[i].isspace()}
    wanted += len(marked)
    shown += len(marked & {i for c in chunks if c.document_id == document_id for i in range(c.start, c.end)})
  return shown / wanted if wanted else 0.0
