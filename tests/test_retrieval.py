"""Chunks, BM25, dense search, fusion, reranking, recall and the tuning split."""

import itertools

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_gen.benchmarks import longhealth, quality, world
from data_gen.errors import UserError
from data_gen.schema import Document, Question
from smt_jax.eval.retrieval.base import Hit
from smt_jax.eval.retrieval.bm25 import Bm25Retriever
from smt_jax.eval.retrieval.chunking import chunk_documents
from smt_jax.eval.retrieval.dense import DenseRetriever
from smt_jax.eval.retrieval.evidence import evidence_spans, recall
from smt_jax.eval.retrieval.hybrid import HybridRetriever, RerankedRetriever
from smt_jax.eval.retrieval.rag import Rag, RagSettings, query
from smt_jax.eval.retrieval.sweep import grid, split_for_tuning, sweep, tuning_groups

TEXT = ('The mill stands by the river. Anna owns it.\n\nIn winter the wheel freezes.\nThen nobody works.\n\n'
        'Boris, her brother, sells flour in the town of Kestra! He keeps two horses; one is lame.') * 4


def document(text=TEXT, name='d', **fields):
  return Document(id=name, title='The Mill', text=text, **fields)


def question(text, document_ids=('d',), **metadata):
  return Question(id=text, document_ids=tuple(document_ids), group=document_ids[0], question=text,
                  options=('a', 'b'), answer=0, metadata=metadata)


def squeezed(text):
  return ''.join(text.split())


pieces = st.sampled_from(['a', 'river', 'x' * 40, 'é🙂', '\n', '\n\n', 'end.', '  '])
words = st.lists(pieces, max_size=60).map(' '.join)


@settings(max_examples=150, deadline=None)
@given(words, st.integers(1, 60), st.integers(0, 59))
def test_chunks_fit_and_lose_nothing(text, size, overlap):
  overlap = min(overlap, size - 1)
  chunks = chunk_documents([document(text)], size, overlap=overlap, prefix=False)
  assert all(0 < len(c.text) <= size and c.text == text[c.start:c.end] for c in chunks)
  covered = np.zeros(len(text), bool)
  for chunk in chunks:
    covered[chunk.start:chunk.end] = True
  assert all(covered[i] or text[i].isspace() for i in range(len(text)))
  if overlap == 0:
    assert squeezed(''.join(c.text for c in chunks)) == squeezed(text)


def test_chunks_end_where_the_text_does():
  chunks = chunk_documents([document()], 100, prefix=False)
  assert all(c.text.endswith(('.', '!', ';')) for c in chunks)
  whole = chunk_documents([document('One.\n\nTwo.\n\nThree.')], 12, prefix=False)
  assert [c.text for c in whole] == ['One.\n\nTwo.', 'Three.']


def test_overlap_repeats_the_end_of_the_chunk_before_from_a_word_on():
  plain = chunk_documents([document()], 80, prefix=False)
  overlapping = chunk_documents([document()], 80, overlap=20, prefix=False)
  assert len(overlapping) > len(plain)
  shared = [a.end - b.start for a, b in itertools.pairwise(overlapping)]
  assert max(shared) > 5 and max(shared) <= 20
  assert all(c.start == 0 or TEXT[c.start - 1].isspace() for c in overlapping)


def test_the_prefix_names_the_document_and_is_not_counted():
  chunk = chunk_documents([document(author='A. Miller', date='1901')], 50)[1]
  assert chunk.prefix == '"The Mill" by A. Miller (1901)\n' and chunk.text == chunk.prefix + chunk.body
  assert chunk.body == TEXT[chunk.start:chunk.end]
  assert chunk_documents([document()], 50)[0].prefix == '"The Mill"\n'


def test_chunks_in_tokens(replay_tokenizer):
  from transformers import AutoTokenizer
  tokenizer = AutoTokenizer.from_pretrained(replay_tokenizer)
  text = TEXT + ' 🙂' * 30
  for overlap in (0, 5):
    chunks = chunk_documents([document(text)], 24, 'tokens', overlap, prefix=False, tokenizer=tokenizer)
    sizes = [len(tokenizer.encode(c.text, add_special_tokens=False)) for c in chunks]
    assert len(chunks) > 5 and max(sizes) <= 25 and np.mean(sizes) > 12  # a cut word may take one token more
  joined = chunk_documents([document(text)], 24, 'tokens', prefix=False, tokenizer=tokenizer)
  assert squeezed(''.join(c.text for c in joined)) == squeezed(text)


@pytest.mark.parametrize('arguments, message', [
  ({'chunk_size': 0}, '--chunk_size=0'), ({'chunk_size': 10, 'overlap': 10}, 'overlap of 10'),
  ({'chunk_size': 10, 'unit': 'words'}, "unit of chunks 'words'"),
  ({'chunk_size': 10, 'unit': 'tokens'}, 'need a fast tokenizer')])
def test_wrong_chunking(arguments, message):
  with pytest.raises(UserError, match=message):
    chunk_documents([document()], **arguments)


def library_recall(documents, questions, k):
  """Whether a chunk of the right article is among the k best, computed with the library alone."""
  chunks = chunk_documents(documents, 1024)
  index = bm25s.BM25()
  index.index(bm25s.tokenize([c.text for c in chunks], stopwords='en', show_progress=False), show_progress=False)
  by_id = {d.id: d for d in documents}
  tokens = bm25s.tokenize([query(q, by_id) for q in questions], stopwords='en', show_progress=False)
  found, _ = index.retrieve(tokens, k=k, show_progress=False)
  return np.mean([any(chunks[i].document_id in q.document_ids for i in row) for row, q in zip(found, questions)])


def test_bm25_recall_is_the_librarys_own_on_the_real_questions(test_data):
  prepared = quality.read(str(test_data / 'quality'), {})
  rag = Rag(prepared.documents, RagSettings())
  measured = rag.recall(prepared.questions, rag.retrieve(prepared.questions))
  assert measured.document == library_recall(prepared.documents, prepared.questions, 8) > 0.9
  assert measured.evidence is None and measured.n_questions == 55


def test_bm25_recall_on_the_world():
  prepared = world.read('study:seed=5,documents=12', {})
  rag = Rag(prepared.documents, RagSettings(chunk_size=512))
  measured = rag.recall(prepared.questions, rag.retrieve(prepared.questions))
  assert measured.n_with_evidence == len(prepared.questions) > 50
  assert measured.evidence is not None and measured.evidence > 0.5
  fewer = Rag(prepared.documents, RagSettings(chunk_size=512, top_k=1))
  assert fewer.recall(prepared.questions, fewer.retrieve(prepared.questions)).evidence < measured.evidence
  standard = Rag(prepared.documents, RagSettings())
  assert standard.recall(prepared.questions, standard.retrieve(prepared.questions)).document == library_recall(
    prepared.documents, prepared.questions, 8)


def test_search_leaves_out_chunks_without_a_shared_word():
  chunks = chunk_documents([document('apples pears'), document('plums', 'e')], 100, prefix=False)
  found = Bm25Retriever(chunks).search(['apples', 'nothing here', 'the', ''], 5)
  assert [[h.chunk for h in hits] for hits in found] == [[0], [], [], []]
  assert Bm25Retriever(chunks).search([], 5) == []


def test_an_empty_index_is_refused():
  for make in (Bm25Retriever, lambda chunks: DenseRetriever(chunks, embed)):
    with pytest.raises(UserError, match='retrieval index is empty'):
      make([])
  with pytest.raises(UserError, match='retrieval index is empty'):
    Rag([], RagSettings())
  with pytest.raises(UserError, match='hold no word'):
    Bm25Retriever(chunk_documents([document('— …')], 100, prefix=False))
  with pytest.raises(UserError, match='--top_k=0'):
    Bm25Retriever(chunk_documents([document()], 100)).search(['x'], 0)


def embed(texts):
  """Letter counts: enough for similar words to lie together."""
  return np.array([[t.lower().count(c) for c in 'abcdefghijklmnopqrstuvwxyz'] for t in texts], np.float32)


def test_dense_search_is_exact():
  chunks = chunk_documents([document()], 40, prefix=False)
  queries = [f'{c.text[:15]} river' for c in chunks] * 20
  found = DenseRetriever(chunks, embed).search(queries, 5)
  normalised = [e / np.linalg.norm(e, axis=1, keepdims=True) for e in (embed(queries), embed([c.text for c in chunks]))]
  scores = normalised[0] @ normalised[1].T
  for row, hits in zip(scores, found):
    np.testing.assert_allclose([h.score for h in hits], np.sort(row)[::-1][:5], atol=1e-5)
    np.testing.assert_allclose([row[h.chunk] for h in hits], [h.score for h in hits], atol=1e-5)
  assert len(DenseRetriever(chunks, embed).search(['x'], 10**6)[0]) == len(chunks)


def test_embeddings_are_cached_by_content(tmp_path):
  calls = []

  def counted(texts):
    calls.append(len(texts))
    return embed(texts)

  chunks = chunk_documents([document()], 60)
  first = DenseRetriever(chunks, counted, embed, tmp_path, 'letters').search(['horses'], 3)
  again = DenseRetriever(chunks, counted, embed, tmp_path, 'letters').search(['horses'], 3)
  assert first == again and calls == [len(chunks)]
  DenseRetriever(chunks, counted, embed, tmp_path, 'other model')
  DenseRetriever(chunks[1:], counted, embed, tmp_path, 'letters')
  assert calls == [len(chunks)] * 2 + [len(chunks) - 1]
  next(iter(tmp_path.glob('*.npy'))).write_bytes(b'damaged')
  with pytest.raises(UserError, match='damaged; delete it'):
    for name in ('letters', 'other model'):
      DenseRetriever(chunks, counted, embed, tmp_path, name)
    DenseRetriever(chunks[1:], counted, embed, tmp_path, 'letters')


@pytest.mark.parametrize('broken, message', [
  (lambda texts: np.full((len(texts), 3), np.nan), 'not finite'), (lambda texts: np.zeros((1, 3)), 'array of shape'),
  (lambda texts: np.zeros(len(texts)), 'array of shape')])
def test_an_embedder_that_answers_nonsense(broken, message):
  with pytest.raises(UserError, match=message):
    DenseRetriever(chunk_documents([document()], 60), broken)


class Fixed:
  """A retriever with a known answer."""

  def __init__(self, chunks, *order):
    self.chunks, self.order = chunks, order

  def search(self, queries, k):
    return [[Hit(c, 1.0 - n / 10) for n, c in enumerate(self.order[:k])] for _ in queries]


def test_fusion_is_the_sum_of_reciprocal_ranks():
  chunks = chunk_documents([document()], 60)
  found = HybridRetriever([Fixed(chunks, 0, 1, 2), Fixed(chunks, 2, 3)]).search(['x'], 4)[0]
  assert [h.chunk for h in found] == [2, 0, 1, 3]
  np.testing.assert_allclose([h.score for h in found], [1 / 63 + 1 / 61, 1 / 61, 1 / 62, 1 / 62])
  with pytest.raises(ValueError, match='same chunks'):
    HybridRetriever([Fixed(chunks, 0), Fixed(list(chunks), 1)])


def test_the_reranker_orders_the_candidates_of_the_first_stage():
  chunks = chunk_documents([document()], 60)
  asked = []

  def by_length(query, texts):
    asked.append((query, len(texts)))
    return [len(t) for t in texts]

  found = RerankedRetriever(Fixed(chunks, 0, 1, 2, 3, 4), by_length, candidates=4).search(['q'], 2)[0]
  lengths = {i: len(chunks[i].text) for i in range(4)}
  assert [h.chunk for h in found] == sorted(lengths, key=lambda i: (-lengths[i], i))[:2]
  assert asked == [('q', 4)]
  with pytest.raises(UserError, match='gave 1 scores for 4 texts'):
    RerankedRetriever(Fixed(chunks, 0, 1, 2, 3), lambda query, texts: [1.0]).search(['q'], 2)


def test_order_of_the_chunks_shown():
  documents = [document('Boris keeps horses.\n\nAnna keeps bees.\n\nAnna and Boris keep Anna.')]
  asked = [question('Anna and bees?')]
  shown = {order: [c.body for c in Rag(documents, RagSettings(chunk_size=27, order=order)).retrieve(asked)[0]]
           for order in ('best_first', 'best_last', 'document')}
  assert shown['best_first'] == shown['best_last'][::-1] and shown['best_first'][0] == 'Anna keeps bees.'
  assert shown['document'] == ['Boris keeps horses.', 'Anna keeps bees.', 'Anna and Boris keep Anna.']
  assert shown['document'] not in (shown['best_first'], shown['best_last'])


def test_queries_name_the_document_and_hide_the_options():
  documents = {'d': document(author='A. Miller')}
  assert query(question('Who owns it?'), documents) == '"The Mill" by A. Miller Who owns it?'
  named = question('What was given?', identity='Jane Roe, born 1980-05-06')
  assert query(named, documents) == 'Jane Roe, born 1980-05-06 What was given?'


def test_evidence_is_found_as_span_as_quotation_and_as_larger_than_a_chunk():
  documents = {'d': document()}
  evidence = ['Anna owns it.', {'document_id': 'd', 'start': 3, 'end': 9}, {'text': 'one is lame'}, 'not there',
              {'document_id': 'x', 'start': 0}]
  spans = evidence_spans(question('q', evidence=evidence), documents)
  assert [TEXT[a:b] for _, a, b in spans] == ['Anna owns it.', ' mill ', 'one is lame']
  chunks = chunk_documents(documents.values(), 60)
  holds = next(c for c in chunks if 'Anna owns it.' in c.body)
  asked = question('q', evidence=['Anna owns it.', 'one is lame'])
  assert recall([asked], [[holds]], documents).evidence == 11 / 20  # in characters
  assert recall([asked], [[]], documents).document == 0
  page = question('q', evidence=[{'document_id': 'd', 'start': 0, 'end': 200}])
  visible = len(squeezed(TEXT[:200]))
  inside = len(squeezed(TEXT[holds.start:min(holds.end, 200)]))
  assert recall([page], [[holds]], documents).evidence == pytest.approx(inside / visible) and inside < visible
  assert recall([page], [chunks], documents).evidence == 1


def test_evidence_counts_by_the_characters_that_are_shown():
  long = {'d': document('word ' * 1000)}
  chunks = chunk_documents(long.values(), 254)
  asked = question('q', evidence=[{'document_id': 'd', 'start': 0, 'end': 5000}])
  one = len(squeezed(long['d'].text[chunks[0].start:chunks[0].end])) / 4000
  assert recall([asked], [chunks[:1]], long).evidence == pytest.approx(one) and one < 0.07
  assert recall([asked], [chunks[:1] * 3], long).evidence == pytest.approx(one)
  assert recall([asked], [chunks], long).evidence == 1
  twice = question('q', evidence=[{'document_id': 'd', 'start': start, 'end': 100} for start in (0, 50)])
  assert recall([twice], [chunks[:1]], long).evidence == 1


def test_a_quotation_counts_rather_than_the_page_it_stands_on():
  documents = {'d': document('Cover.\n\nNet revenue was\n $12 million in all. More text follows.')}
  page = {'document_id': 'd', 'start': 8, 'end': len(documents['d'].text)}
  cases = [('revenue was $12 million', 'revenue was\n $12 million'), ('not there', None), ('Cover.', None)]
  for quoted, found in cases:
    (_, start, end), = evidence_spans(question('q', evidence=[page | {'text': quoted}]), documents)
    assert documents['d'].text[start:end] == (found or documents['d'].text[8:])


def test_evidence_of_the_real_patient_can_be_retrieved(test_data):
  prepared = longhealth.read(str(test_data / 'longhealth'), {})
  rag = Rag(prepared.documents, RagSettings())
  assert rag.recall(prepared.questions, rag.retrieve(prepared.questions)).n_with_evidence >= 1


def test_the_tuning_fifth_is_fixed_and_keeps_groups_whole():
  questions = [question(f'q{n}', (f'article {n % 50}',)) for n in range(200)]
  tuned, rest = split_for_tuning(questions)
  groups = {q.group for q in tuned}
  assert len(groups) == 10 and not groups & {q.group for q in rest} and len(tuned) + len(rest) == 200
  assert tuning_groups(f'article {n}' for n in reversed(range(50))) == groups
  with pytest.raises(UserError, match='no question to tune on'):
    split_for_tuning([])


def test_the_sweep_finds_the_best_setting_and_prefers_less_text():
  trials = sweep(grid(RagSettings()), lambda s: 0.5 + 0.1 * (s.chunk_size == 512 and s.top_k >= 4))
  assert len(trials) == 3 * (1 + 4 * 2)
  best = trials[0].settings
  assert (best.chunk_size, best.top_k) == (512, 4) and trials[0].score == 0.6
  assert trials[-1].score == 0.5 and trials[-1].settings.chunk_size * trials[-1].settings.top_k == 16384


@pytest.mark.parametrize('fields, message', [
  ({'retriever': 'tfidf'}, '--retriever=tfidf: expected one of bm25, dense, hybrid'),
  ({'retriever': 'dense'}, 'needs --embedder'), ({'order': 'random'}, 'order of chunks'), ({'top_k': 0}, '--top_k=0')])
def test_wrong_settings(fields, message):
  with pytest.raises(UserError, match=message):
    RagSettings(**fields)
