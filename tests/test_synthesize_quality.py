"""Measures of quality, plans and pilots, and the page on which people read samples."""

import html
import html.parser
import json
import random
import re
import shutil
import subprocess

import numpy as np
import pytest
from scripted import Scripted, documents, usual_answer, words
from synthesis_support import LightTokenizer, make_tokenizer, records_of

from data_gen.coverage import DocumentCoverage, coverage_report, index_documents
from data_gen.dedup import NearDuplicates, duplicate_report
from data_gen.diversity import hashed_tfidf, unique_ngram_ratio, vendi_score
from data_gen.errors import UserError
from data_gen.estimate import estimate_calls, plan_lines
from data_gen.generators.base import Response
from data_gen.methods import METHODS
from data_gen.pilot import pilot
from data_gen.schema import Document, Record
from data_gen.synthesize import Settings, make_job, synthesize


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  return LightTokenizer(make_tokenizer(tmp_path_factory.mktemp('tokenizer') / 't'))


def text_record(i, text, document='d'):
  return Record(f'r{i}', 'document', 'wrap', (document,), text=text)


def test_vendi_counts_the_kinds_of_text():
  one_hot = np.eye(5)
  assert vendi_score(one_hot) == pytest.approx(5)
  assert vendi_score(one_hot[[0, 0, 0, 0]]) == pytest.approx(1)
  assert vendi_score(one_hot[[0, 0, 1, 1]]) == pytest.approx(2)
  assert vendi_score(one_hot[[0, 0, 0, 1]]) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
  rng = np.random.default_rng(0)
  x = rng.normal(size=(40, 6))
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  values = np.linalg.eigvalsh(x @ x.T / 40)
  assert vendi_score(x) == pytest.approx(np.exp(-sum(v * np.log(v) for v in values if v > 1e-12)))


def test_embedding_and_ngram_ratio():
  texts = ['the river rose', 'the river rose', 'silver lantern market']
  x = hashed_tfidf(texts)
  assert np.allclose(np.linalg.norm(x, axis=1), 1) and np.allclose(x[0], x[1]) and abs(x[0] @ x[2]) < 1e-6
  assert unique_ngram_ratio(['a b c d e']) == 1.0
  assert unique_ngram_ratio(['a b c d e', 'A B c d, e']) == 0.5
  assert unique_ngram_ratio(['a b']) == 0.0


def test_near_duplicates_are_found_within_their_document_only():
  rng = random.Random(0)
  base = words(rng, 200)
  changed = base.replace(base.split()[50], 'other', 1)
  near = NearDuplicates()
  assert [near.seen(t, 'a') for t in (base, words(rng, 200), changed, base)] == [False, False, True, True]
  assert not near.seen(base, 'b')
  report = duplicate_report([text_record(0, base), text_record(1, base), text_record(2, changed),
                             text_record(3, base, 'other'), text_record(4, words(rng, 200))])
  assert (report['records'], report['exact'], report['near']) == (5, 1, 2)


def test_coverage_sees_what_is_left_out():
  document = documents(1, sentences=60)[0]
  whole = DocumentCoverage(document.text)
  assert len(whole.chunks) > 5 and whole.covered == 0
  whole.add(document.text)
  assert whole.covered == len(whole.chunks) and whole.share_words == 1
  rng = random.Random(5)
  parts = [' '.join(f'{words(rng, 3)} unique{i}x{j} was seen.' for j in range(20)) for i in range(10)]
  long = Document(id='d', title='t', text='\n\n'.join(parts))
  half = coverage_report(index_documents([long, document]), [text_record(i, p) for i, p in enumerate(parts[:5])])
  assert 0.3 < half['share_covered'] * half['chunks'] / len(DocumentCoverage(long.text).chunks) < 0.7
  assert half['untouched_documents'] == 1 and half['worst'][0] == ['doc0', 0.0]


def test_dropping_near_duplicates_survives_an_extension(tmp_path, tokenizer):
  def answer(request):
    rng = random.Random(request.sample % 40)  # from sample 40 on, the same but for one word
    return f'{request.fields["title"]} says {words(rng, 120)} {"again" if request.sample >= 40 else "once"}.'

  def run(out, budget, drop):
    settings = Settings(methods=('wrap',), tokens_per_method=budget, drop_duplicates=drop)
    return synthesize(documents(2), out, Scripted(answer), tokenizer, settings, quality=False)['methods']['wrap']

  assert run(tmp_path / 'kept', '999999', False)['records'] == 160
  run(tmp_path / 'dropped', '30000', True)
  report = run(tmp_path / 'dropped', '999999', True)
  assert report['records'] == 80 and report['exhausted'] and report['duplicates'] >= 20


class Text(html.parser.HTMLParser):
  """Collects tags and text of a page."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.text = [], ''
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.text += data


def test_quality_report_and_page_of_a_run(tmp_path, tokenizer):
  docs = [*documents(4), Document(id='x', title='<script>alert(1)</script>', text='A & B < C. ' * 60)]

  def answer(request):
    return usual_answer(request, 'm').replace('.', ' <img src=x onerror=alert(2)>.')

  summary = synthesize(docs, tmp_path, Scripted(answer), tokenizer,
                       Settings(methods=('qa', 'focal'), tokens_per_method='9000'))
  quality = json.loads((tmp_path / 'quality.json').read_text())
  for method in ('qa', 'focal'):
    report = quality[method]
    assert report['records'] == summary['methods'][method]['records'] >= report['sample'] > 10
    assert 0 < report['diversity']['unique_4gram_ratio'] <= 1 < report['diversity']['vendi']
    assert report['coverage']['documents'] == 5 and report['duplicates']['exact'] == 0
  page = Text((tmp_path / 'samples_page.html').read_text())
  tags = [tag for tag, _ in page.tags]
  assert tags.count('section') == 5 and tags.count('script') == 1 and 'img' not in tags and 'link' not in tags
  assert not any(name in attrs for _, attrs in page.tags for name in ('src', 'onerror'))
  records = records_of(tmp_path, 'qa')
  assert sum(r.messages[1]['content'] in page.text for r in records) > 10
  assert all(d.text[:100] in page.text for d in docs)


def test_a_plan_comes_near_to_what_happens_after_a_pilot(tmp_path, tokenizer):
  settings = Settings(methods=tuple(METHODS), tokens_per_method='40000')
  docs = documents(9)
  plans = pilot(docs, tmp_path, Scripted(), tokenizer, settings, 4)
  billed = {}  # by key, since a journal pays for a request that two methods share once

  def answer(request):
    text = usual_answer(request, 'scripted')
    prompt = sum(len(m['content']) for m in request.messages) // 4
    billed[request.key('m')] = {'prompt_tokens': prompt, 'completion_tokens': len(text) // 4}
    return Response(text, 'stop', 'scripted', billed[request.key('m')])

  summary = synthesize(docs, tmp_path / 'all', Scripted(answer), tokenizer, settings, quality=False)
  for expected, low, high in zip(plans['expected'], plans['low'], plans['high']):
    got = summary['methods'][expected.method]
    assert abs(expected.calls - got['calls']) < 0.06 * got['calls']
    assert low.calls <= expected.calls <= high.calls
  for name in ('prompt_tokens', 'completion_tokens'):
    planned, real = (sum(getattr(e, name) for e in plans['expected']), sum(u[name] for u in billed.values()))
    assert abs(planned - real) < 0.06 * real
  assert json.loads((tmp_path / 'pilot-4' / 'plan.json').read_text())['expected'][0]['method'] == 'qa'
  assert not list(tmp_path.glob('records*.jsonl'))


def test_stage_one_is_planned_once_for_all_methods_that_share_it(tokenizer):
  def plan(*methods):
    job = make_job(documents(), tokenizer, Settings(methods=methods, tokens_per_method='50000'))
    return {e.method: e for e in estimate_calls(job, price=lambda p, c, o: p + o)}

  alone, together = plan('focal')['focal'], plan('qa', 'active_reading', 'focal')
  assert alone.stage1_calls > together['focal'].stage1_calls
  assert together['active_reading'].stage1_calls > 0 == together['qa'].stage1_calls
  assert all(e.cached_tokens < e.prompt_tokens and e.dollars > 0 for e in together.values())
  original = make_job(documents(), tokenizer, Settings(methods=('wrap',), prompt_order='original'))
  assert estimate_calls(original)[0].cached_tokens == 0
  lines = plan_lines(list(together.values()))
  assert lines[0].split()[0] == 'method' and lines[-1].startswith('all') and re.search(r'\$[\d,]+\.\d\d$', lines[-1])


@pytest.mark.parametrize('n', [0, -1, 7])
def test_a_pilot_needs_documents(tmp_path, tokenizer, n):
  with pytest.raises(UserError, match=f'--pilot={n}: expected 1 to 6'):
    pilot(documents(6), tmp_path, Scripted(), tokenizer, Settings(), n)


def test_the_vendi_score_is_by_the_embedding_that_is_named(tmp_path, tokenizer):
  def same(texts):
    return np.tile([[1.0, 0.0]], (len(texts), 1))

  synthesize(documents(2), tmp_path, Scripted(), tokenizer, Settings(methods=('wrap',), tokens_per_method='3000'),
             embedding=(same, 'all alike'))
  found = json.loads((tmp_path / 'quality.json').read_text())['wrap']['diversity']
  assert (found['embedding'], found['vendi']) == ('all alike', 1.0) and found['texts'] > 1


@pytest.mark.skipif(not shutil.which('chromium'), reason='no chromium here')
def test_the_samples_page_runs_in_a_browser(tmp_path, tokenizer):
  """One document at a time beside its records; the chooser changes it; markup of documents and outputs stays text."""
  docs = [*documents(3), Document(id='x', title='<script>document.title = "run"</script>', text='A & B < C. ' * 60)]
  synthesize(docs, tmp_path, Scripted(), tokenizer, Settings(methods=('qa', 'wrap'), tokens_per_method='6000'))
  script = """{
    const chooser = document.getElementById('chooser'), seen = [];
    for (let i = 0; i < chooser.options.length; i++) {
      chooser.selectedIndex = i; chooser.dispatchEvent(new Event('change'));
      const shown = [...document.querySelectorAll('section')].filter(s => getComputedStyle(s).display !== 'none');
      seen.push([shown.length, shown[0].querySelector('h2').textContent, shown[0].querySelectorAll('h3').length,
                 shown[0].querySelectorAll('details').length]);
    }
    document.title = JSON.stringify(seen); }"""
  page = (tmp_path / 'samples_page.html').read_text()
  (tmp_path / 'page.html').write_text(page.replace('</body>', f'<script>{script}</script></body>'))
  done = subprocess.run(
      ['chromium', '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
       f'--user-data-dir={tmp_path}/profile', '--dump-dom', f'file://{tmp_path}/page.html'],
      capture_output=True, text=True, timeout=120)
  title = re.search(r'<title>(.*?)</title>', done.stdout)
  assert title, done.stderr[-500:]
  seen = json.loads(html.unescape(title[1]))
  assert [(n, name, methods) for n, name, methods, _ in seen] == [(1, d.title, 2) for d in docs]
  assert all(records for *_, records in seen)
