"""How varied a set of texts is: unique 4-gram ratio and Vendi score."""

import re
import zlib
from collections.abc import Callable, Sequence

import numpy as np

Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> float [N, D] with rows of length 1
Embedding = tuple[Embed, str]  # with the name under which it is reported
_WORD = re.compile(r'\w+')


def words_of(text: str) -> list[str]:
  """Lower-case words."""
  return _WORD.findall(text.lower())


def unique_ngram_ratio(texts: Sequence[str], n: int = 4) -> float:
  """Distinct word n-grams over all word n-grams of the texts together; 1 when none repeats, 0 without any.

  It falls as texts are added, so compare sets of the same number of tokens.
  """
  total, distinct = 0, set()
  for text in texts:
    words = words_of(text)
    grams = list(zip(*(words[i:] for i in range(n))))
    total += len(grams)
    distinct.update(grams)
  return len(distinct) / total if total else 0.0


def hashed_tfidf(texts: Sequence[str], dimensions: int = 8192) -> np.ndarray:
  """Embedding [N, D] float32: word counts hashed into D buckets, weighted by log(1 + N / df), rows of length 1."""
  counts_ND = np.zeros((len(texts), dimensions), np.float32)
  for i, text in enumerate(texts):
    buckets = [zlib.crc32(word.encode(errors='replace')) % dimensions for word in words_of(text)]
    np.add.at(counts_ND[i], buckets, 1.0)
  frequency_D = np.maximum(1, (counts_ND > 0).sum(0))
  weighted_ND = counts_ND * np.log1p(len(texts) / frequency_D)
  norms_N1 = np.linalg.norm(weighted_ND, axis=1, keepdims=True)
  return weighted_ND / np.maximum(norms_N1, 1e-12)


HASHED: Embedding = (hashed_tfidf, 'hashed TF-IDF')


def vendi_score(embeddings_ND: np.ndarray) -> float:
  """exp(-tr(K/n log(K/n))) of the cosine kernel K = X X^T: the effective number of different texts, from 1 to n.

  Friedman and Dieng, arXiv 2210.02410. Rows must have length 1.
  """
  n, d = embeddings_ND.shape
  if n == 0:
    return 0.0
  x_ND = embeddings_ND.astype(np.float64)
  gram = x_ND @ x_ND.T if n <= d else x_ND.T @ x_ND  # the same eigenvalues but for zeros
  values = np.linalg.eigvalsh(gram / n)
  values = values[values > 1e-12]
  return float(np.exp(-np.sum(values * np.log(values))))


def diversity_report(texts: Sequence[str], embedding: Embedding = HASHED) -> dict:
  """Both measures over these texts, with their number and the name of the embedding."""
  embed, name = embedding
  score = vendi_score(embed(texts)) if texts else 0.0
  return {'texts': len(texts), 'unique_4gram_ratio': round(unique_ngram_ratio(texts), 4), 'vendi': round(score, 2),
          'vendi_per_text': round(score / max(1, len(texts)), 4), 'embedding': name}
