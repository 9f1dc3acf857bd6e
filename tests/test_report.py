"""launch.report: what the page, the table and the plots hold, from evaluations written by the real runner."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from report_runs import write_records, write_runs, write_workdirs

from data_gen.errors import UserError
from smt_jax.eval.report import write_report
from smt_jax.eval.report.arms import comparisons, group, mean_gains, short
from smt_jax.eval.report.training import smoothed
from smt_jax.eval.runs import find_runs


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
  root = tmp_path_factory.mktemp('inputs')
  write_runs(root / 'runs', seeds=(0, 1), tokens=(1e5, 1.6e6), n=12)
  write_runs(root / 'other', tokens=(1e6,), benchmark='longhealth', n=10)
  write_workdirs(root / 'work')
  write_records(root / 'records.jsonl')
  return root


@pytest.fixture(scope='module')
def page(inputs):
  out = inputs / 'report'
  tables = write_report(find_runs(f'{inputs}/runs/*,{inputs}/other/*'), out, workdirs=f'{inputs}/work/*',
                        records=f'{inputs}/records.jsonl', note='A <note>.')
  return out, tables, (out / 'report.html').read_text()


def test_one_file_without_network_and_nothing_unescaped(page):
  _, _, html = page
  assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html) and 'http' not in html.split('<script id="data"')[0]
  assert 'A &lt;note&gt;.' in html and '<b>the text</b>' not in html and '<script>alert' not in html
  assert html.count('<script') == 2 and html.count('</script>') == 2


def test_plots_are_there_as_png_and_svg(page):
  out, _, html = page
  names = ['world_accuracy', 'world_scaling', 'longhealth_accuracy', 'loss', 'mix']
  for name in names:
    assert (out / f'{name}.png').read_bytes().startswith(b'\x89PNG')
    assert ET.parse(out / f'{name}.svg').getroot().tag.endswith('svg')
  assert html.count('data:image/svg+xml;base64,') == len(names) and not (out / 'longhealth_scaling.png').exists()


def test_table_holds_every_arm_with_the_figures_of_its_results(page, inputs):
  out, tables, _ = page
  text = (out / 'table.md').read_text()
  arms = group(find_runs(f'{inputs}/runs/*'))
  assert {arm.label for arm in arms} >= {'base + RAG', 'base · closed book', 'base · oracle', 'QA only @ 100k',
                                         'QA only @ 1.6M', 'mixed + focal + RAG'}
  for arm in arms:
    assert len(arm.runs) == (2 if arm.training_tokens else 1)
    strict = np.mean([run.results['accuracy']['strict'] for run in arm.runs])
    assert f'| {arm.label} |' in text
    rows = [row for t in tables if t.title == 'Arms' for row in t.rows]
    row = next(r for r in rows if r[0] == arm.label and r[5] == str(arm.n_questions))
    assert row[6] == f'{100 * strict:.1f}'
  assert 'significant: a better' in text and 'not significant' in text
  assert 'Mean relative gain over benchmarks' in text and 'Guessing gives 25.0%' in text


def test_arms_meet_at_equal_budgets_and_every_pair_says_its_verdict(inputs):
  arms = group(find_runs(f'{inputs}/runs/*'))
  found, missing = comparisons(arms)
  pairs = {frozenset((c.a, c.b)) for c in found}
  assert not missing and frozenset(('QA only @ 100k', 'documents only @ 100k')) in pairs
  assert frozenset(('QA only @ 100k', 'documents only @ 1.6M')) not in pairs
  assert frozenset(('QA only @ 100k', 'base + RAG')) not in pairs
  assert frozenset(('QA only @ 1.6M', 'base + RAG')) in pairs
  assert all(c.difference.estimate >= 0 for c in found)
  only, _ = comparisons(arms, 'base + RAG')
  assert len(only) == len(arms) - 1 and all(c.b == 'base + RAG' for c in only)
  with pytest.raises(UserError, match='--reference=none: expected one of'):
    comparisons(arms, 'none')


def test_arms_of_different_scorings_meet_only_a_reference(tmp_path):
  from known_readers import Perfect, Silent

  from data_gen.schema import Question
  from smt_jax.eval.runner import evaluate
  from smt_jax.eval.settings import Settings
  qs = [Question(f'q{i}', (), f'g{i}', f'What is {i}?', ('a1', 'b2'), 0) for i in range(9)]
  for name, reader, scoring in (('x', Perfect, 'cot'), ('y', Silent, 'cot'), ('x', Perfect, 'logprob')):
    evaluate(Settings('custom', name, scoring=scoring), qs, [], reader(qs), tmp_path / f'{name}{scoring}')
  arms = group(find_runs(f'{tmp_path}/*'))
  assert [(c.a, c.b) for c in comparisons(arms)[0]] == [('x · cot', 'y')]
  assert len(comparisons(arms, 'x · cot')[0]) == 2


def test_gains_average_over_benchmarks(inputs):
  found, _ = comparisons(group(find_runs(f'{inputs}/runs/base*,{inputs}/other/base*')))
  gains = {(a, b): (n, i) for a, b, n, i in mean_gains(found)}
  n, interval = gains['base + RAG', 'base · closed book']
  own = [c.gain.estimate for c in found if (c.a, c.b) == ('base + RAG', 'base · closed book')]
  assert n == 2 and interval.estimate == pytest.approx(np.mean(own)) and interval.low < interval.estimate


def test_browser_data_agree_with_the_items(page, inputs):
  _, _, html = page
  data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S).group(1))
  assert len(data['questions']) == 12 * 5 + 10 * 5
  run = next(r for r in find_runs(f'{inputs}/runs/*') if r.arm == 'base + RAG')
  number = next(i for i, arm in enumerate(data['arms']) if arm['label'] == 'base + RAG' and arm['benchmark'] == 'world')
  by_id = {q['id']: q for q in data['questions'] if q['benchmark'] == 'world'}
  for row in run.items:
    answer = by_id[row['id']]['answers'][str(number)]
    assert (answer['score'], answer['parsed'], answer['output']) == (row['score'], row['parsed'], row['output'])
    assert [data['chunks'][i] for i in answer['chunks']] == [c['text'] for c in row['retrieved']]


def test_figures_without_tuned_on_documents_and_without_shared_wording(page, inputs, tmp_path):
  runs = find_runs(f'{inputs}/runs/*')
  hit = set(list(runs[0].asked)[:7])
  tables = write_report(runs, tmp_path, overlap=hit)
  found = next(t for t in tables if t.title == 'Without tuned-on documents and shared wording')
  assert found.columns == ['arm or difference', 'kept back %', 'without overlap %'] and 'the 7 questions' in found.note
  for arm in group(runs):
    row = next(r for r in found.rows if r[0] == arm.label)
    for cell, keep in ((row[1], lambda r: r['kept_back']), (row[2], lambda r: r['id'] not in hit)):
      share = np.mean([[r['score'] for r in run.asked.values() if keep(r)] for run in arm.runs])
      assert cell.startswith(f'{100 * share:.1f} [')
  assert len(found.rows) == len(group(runs)) + len(comparisons(group(runs))[0])
  assert any(t.title == 'On documents not tuned on' for t in page[1])


def test_large_benchmarks_are_sampled_and_say_so(inputs, tmp_path):
  runs = find_runs(f'{inputs}/runs/base*')
  write_report(runs, tmp_path, most_items=7)
  html = (tmp_path / 'report.html').read_text()
  assert '7 questions.' in html and '53 more are in items.jsonl' in html
  write_report(runs, tmp_path / 'again', most_items=7)
  assert (tmp_path / 'again' / 'report.html').read_bytes() == (tmp_path / 'report.html').read_bytes()


def test_bad_input_is_named(inputs, tmp_path):
  runs = find_runs(f'{inputs}/runs/base*')
  with pytest.raises(UserError, match=r'--workdirs=.*matches no folder'):
    write_report(runs, tmp_path, workdirs=f'{inputs}/none*')
  with pytest.raises(UserError, match=r'no metrics\.jsonl'):
    write_report(runs, tmp_path, workdirs=f'{inputs}/runs')
  with pytest.raises(UserError, match=r'--records=.*matches no file'):
    write_report(runs, tmp_path, records=f'{inputs}/none*')
  (tmp_path / 'bad.jsonl').write_text('{"id": "x"}\n')
  with pytest.raises(UserError, match=r'bad\.jsonl:1: field "kind"'):
    write_report(runs, tmp_path, records=f'{tmp_path}/bad.jsonl')
  assert not (tmp_path / 'report.html').exists()


def test_small_helpers():
  assert [short(v) for v in (950, 1500, 4.55e8, 1.6e6, 2e9, None)] == ['950', '1.5k', '455M', '1.6M', '2B', '']
  index, means = smoothed([1.0, 3.0, 5.0, 7.0], points=2)
  assert means == [2, 6] and index == [1, 3]


def test_an_arm_that_was_asked_nothing(tmp_path, monkeypatch):
  """Every filing is missing, in a result of an earlier version: no figure, no interval, still a report and JSON."""
  monkeypatch.setattr('smt_jax.eval.runner.check_asked', lambda *_: None)
  from known_readers import Perfect

  from data_gen.schema import Question
  from smt_jax.eval.runner import evaluate
  from smt_jax.eval.settings import Settings
  qs = [Question(f'q{i}', ('gone',), f'g{i}', f'What is {i}?', ('a1', 'b2'), 0, metadata={'filing_missing': True})
        for i in range(8)]
  for mode in ('closed_book', 'full_document'):
    evaluate(Settings('custom', mode, mode=mode), qs, [], Perfect(qs), tmp_path / mode)
  def refuse(word):
    raise AssertionError(word)
  results = json.loads((tmp_path / 'full_document' / 'results.json').read_text(), parse_constant=refuse)
  assert results['ci95'] == [None, None] and results['accuracy']['strict'] is None and len(results['excluded']) == 8
  write_report(find_runs(f'{tmp_path}/*'), tmp_path / 'report')
  text = (tmp_path / 'report' / 'table.md').read_text()
  assert 'nan' not in text and 'no question was asked in both' in text


def test_a_few_documents_give_no_finding(tmp_path):
  from known_readers import Constant, Perfect

  from data_gen.schema import Question
  from smt_jax.eval.runner import evaluate
  from smt_jax.eval.settings import Settings
  qs = [Question(f'q{i}', (), f'g{i % 2}', f'What is {i}?', ('a1', 'b2', 'c3', 'd4'), i % 4) for i in range(16)]
  for name, reader in (('good', Perfect(qs)), ('poor', Constant(qs))):
    evaluate(Settings('custom', name), qs, [], reader, tmp_path / name)
  write_report(find_runs(f'{tmp_path}/*'), tmp_path / 'report')
  text, html = (tmp_path / 'report' / 'table.md').read_text(), (tmp_path / 'report' / 'report.html').read_text()
  assert '| good | poor | +75.0 |' in text and 'too few documents (2)' in text and 'significant: ' not in text
  assert 'too few documents (2) to tell' in html and 'class="yes"' not in html
  assert not re.search(r'\d{5}', text)  # no absurd bound


def browse(html, folder, extra=''):
  """The page's DOM after its script (and an extra one) ran in a browser."""
  path = folder / 'page.html'
  path.write_text(html.replace('</body>', f'<script>{extra}</script></body>'))
  done = subprocess.run(
      ['chromium', '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
       '--disable-quic', '--disable-component-update', '--disable-sync', f'--user-data-dir={folder}/profile',
       '--dump-dom', f'file://{path}'], capture_output=True, text=True, timeout=120)
  return done.stdout


@pytest.mark.skipif(not shutil.which('chromium'), reason='no chromium here')
def test_the_page_runs_in_a_browser_and_its_filters_agree_with_the_items(page, inputs, tmp_path):
  """Two arms side by side; every filter shows as many questions as the items say."""
  _, _, html = page
  filters = ['all', 'wrong', 'right', 'changed', 'gained', 'lost', 'unparsed', 'flagged']
  script = """
    const at = id => document.getElementById(id), set = (id, v) => {
      at(id).value = v; at(id).dispatchEvent(new Event('change')); };
    const arm = name => [...at('arm-a').options].find(o => o.textContent === name).value, counts = {};
    const first = [document.querySelectorAll('.row').length, document.querySelectorAll('.side').length];
    set('benchmark', 'world'); set('arm-a', arm('base + RAG')); set('arm-b', arm('base · closed book'));
    for (const f of FILTERS) { set('filter', f); counts[f] = at('count').textContent; }
    set('filter', 'all'); at('hard').checked = true; at('hard').dispatchEvent(new Event('change'));
    counts.hard = at('count').textContent;
    at('search').value = 'no such words at all'; at('search').dispatchEvent(new Event('input'));
    counts.none = at('count').textContent; counts.first = first.join();
    document.title = JSON.stringify(counts);""".replace('FILTERS', json.dumps(filters))
  dom = browse(html, tmp_path, script)
  counts = json.loads(re.search(r'<title>(.*?)</title>', dom).group(1).replace('&quot;', '"'))
  runs = {run.results['mode']: run for run in find_runs(f'{inputs}/runs/base*')}
  rows = [(row, runs['closed_book'].asked[i]['score']) for i, row in runs['rag'].asked.items()]
  kept = {
      'all': lambda r, b: True, 'wrong': lambda r, b: r['score'] < 1, 'right': lambda r, b: r['score'] == 1,
      'changed': lambda r, b: r['score'] != b, 'gained': lambda r, b: r['score'] > b,
      'lost': lambda r, b: r['score'] < b, 'unparsed': lambda r, b: r['parsed'] is None,
      'flagged': lambda r, b: bool(r['flag']), 'hard': lambda r, b: bool(r['hard']), 'none': lambda r, b: False}
  expected = {name: sum(test(*row) for row in rows) for name, test in kept.items()}
  assert {name: counts[name] for name in expected} == {name: f'{n} shown' for name, n in expected.items()}
  assert counts['first'] == '50,2' and expected['gained'] and expected['lost'] and 'No question passes' in dom


@pytest.mark.skipif(not shutil.which('chromium'), reason='no chromium here')
def test_a_narrow_window_cuts_nothing_off(page, tmp_path):
  """On a telephone's width the page itself does not scroll sideways; wide tables scroll in their own boxes."""
  _, _, html = page
  frame = '<iframe id="f" style="width:420px;height:900px" src="narrow.html"></iframe>'
  (tmp_path / 'narrow.html').write_text(html.replace('</body>', """<script>
    parent.postMessage([document.documentElement.scrollWidth, window.innerWidth].join(), '*');</script></body>"""))
  dom = browse(f'<html><body>{frame}</body></html>', tmp_path,
               "addEventListener('message', e => { document.title = e.data; });")
  width, window = map(int, re.search(r'<title>(\d+,\d+)</title>', dom).group(1).split(','))
  assert window == 420 and width <= window
