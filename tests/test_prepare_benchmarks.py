"""LongHealth and FinanceBench from files in their published forms."""

import json

import pytest
from prepare_fixtures import OPTIONS, filing_question, patient, pdf_bytes, write_lines

from data_gen.benchmarks import financebench, longhealth
from data_gen.benchmarks.filings import describe
from data_gen.errors import UserError
from data_gen.schema import to_row

DEFAULTS = financebench.OPTIONS


def health(tmp_path, **patients):
  path = tmp_path / 'benchmark_v5.json'
  path.write_text(json.dumps(patients))
  return longhealth.read(str(path), {})


def question_like(**changes):
  return patient()['questions'][0] | changes


def test_longhealth_maps_the_gold_text_to_its_option(tmp_path):
  prepared = health(tmp_path, patient_01=patient(), patient_02=patient(name='John Roe'))
  assert len(prepared.documents) == 4 and len(prepared.questions) == 4
  question = prepared.questions[0]
  assert question.options == OPTIONS and question.options[question.answer] == 'aspirin'
  assert question.group == 'patient_01' and question.document_ids == ('patient_01/text_0', 'patient_01/text_1')
  assert question.id != prepared.questions[1].id


def test_longhealth_names_the_patient_but_neither_diagnosis_nor_canary(tmp_path):
  prepared = health(tmp_path, patient_01=patient())
  assert prepared.documents[0].title == 'Medical record 1 of 2 of Jane Roe, born 1980-05-06'
  assert prepared.questions[0].metadata['identity'] == 'Jane Roe, born 1980-05-06'
  assert all(d.metadata['canary'] is True for d in (*prepared.documents, *prepared.questions))
  written = json.dumps([to_row(x) for x in (*prepared.documents, *prepared.questions)]) + str(prepared.notes)
  assert 'Influenza' not in written and 'CANARY' not in written


def test_longhealth_evidence_is_the_paragraph_of_the_answer(tmp_path):
  prepared = health(tmp_path, patient_01=patient())
  evidence, = prepared.questions[0].metadata['evidence']
  text = next(d.text for d in prepared.documents if d.id == evidence['document_id'])
  assert 'aspirin' in text[evidence['start']:evidence['end']]


@pytest.mark.parametrize('change, reason', [
  ({'correct': 'morphine'}, 'matches none of the options'),
  ({'answer_a': 'aspirin'}, 'matches 2 of the options'),
  ({'answer_e': None}, 'has 4 options, expected 5'),
  ({'answer_f': 'honey'}, 'has 6 options, expected 5'),
  ({'correct': None}, 'has no gold answer'),
  ({'question': None}, '"question" is missing'),
  ({'answer_a': ' '}, 'has an empty option (number 1)'),
  ({'No': 7}, 'duplicate'),
])
def test_longhealth_bad_questions_are_skipped(tmp_path, change, reason):
  questions = [question_like(No=7), question_like(**({'No': 8} | change))]
  prepared = health(tmp_path, patient_01=patient(questions=questions))
  assert [q.id for q in prepared.questions] == ['patient_01_7']
  assert reason in prepared.skipped[0].reason and prepared.skipped[0].place.startswith('question patient_01_')


def test_longhealth_says_which_patient_it_left_out(tmp_path):
  prepared = health(tmp_path, patient_01=patient(), patient_02=[patient()], canary='CANARY')
  assert {q.group for q in prepared.questions} == {'patient_01'}
  skipped, = prepared.skipped
  assert (skipped.place, skipped.reason) == ('document patient_02', 'expected an object, found list')
  assert skipped.file.endswith('benchmark_v5.json')


def test_longhealth_gold_text_may_differ_in_white_space_only(tmp_path):
  prepared = health(tmp_path, p=patient(questions=[question_like(correct=' aspirin\n')]))
  assert prepared.questions[0].answer == 1


def test_longhealth_per_patient_files_and_folder(tmp_path):
  for number in (1, 2):
    (tmp_path / f'benchmark_v5.patient_0{number}.json').write_text(json.dumps({f'patient_0{number}': patient()}))
  assert len(longhealth.read(str(tmp_path), {}).documents) == 4
  (tmp_path / 'benchmark_v5.patient_03.json').write_text(json.dumps(patient()))
  assert {d.metadata['patient'] for d in longhealth.read(str(tmp_path), {}).documents} == {
    'patient_01', 'patient_02', 'patient_03'}
  (tmp_path / 'benchmark_v5.patient_04.json').write_text(json.dumps({'patient_01': patient()}))
  with pytest.raises(UserError, match='patient "patient_01" already stands'):
    longhealth.read(str(tmp_path), {})


def test_longhealth_errors(tmp_path):
  with pytest.raises(UserError, match=r'holds no benchmark_v5\.json'):
    longhealth.read(str(tmp_path), {})
  with pytest.raises(UserError, match='patient_01: field "name" is missing'):
    health(tmp_path, patient_01={k: v for k, v in patient().items() if k != 'name'})
  with pytest.raises(UserError, match='expected an object of patients'):
    health(tmp_path)
  (tmp_path / 'benchmark_v5.json').write_text('{"patient_01": ')
  with pytest.raises(UserError, match='not valid JSON'):
    longhealth.read(str(tmp_path), {})


def test_longhealth_real_patient(test_data):
  prepared = longhealth.read(str(test_data / 'longhealth'), {})
  assert len(prepared.documents) == 2 and len(prepared.questions) == 20 and not prepared.skipped
  evidence = prepared.questions[0].metadata['evidence']
  text = prepared.documents[0].text
  assert any('Polatuzumab vedotin' in text[e['start']:e['end']] for e in evidence)


def finance(tmp_path, rows, pdfs=None, info=(), **options):
  write_lines(tmp_path / 'financebench_open_source.jsonl', rows)
  if info:
    write_lines(tmp_path / 'financebench_document_information.jsonl', info)
  for name, data in (pdfs or {}).items():
    (tmp_path / 'pdfs').mkdir(exist_ok=True)
    (tmp_path / 'pdfs' / name).write_bytes(data)
  return financebench.read(str(tmp_path), DEFAULTS | options)


PAGES = [['Cover page'], ['Revenue was $12 million'], [], ['The end']]


def test_financebench_pages_are_exact(tmp_path):
  prepared = finance(tmp_path, [filing_question(1, 'ACME_2021_10K', page=1)], {'ACME_2021_10K.pdf': pdf_bytes(PAGES)})
  document, = prepared.documents
  question, = prepared.questions
  evidence, = question.metadata['evidence']
  assert document.text[evidence['start']:evidence['end']] == 'Revenue was $12 million'
  spans = [document.text[a:b] for a, b in document.metadata['page_spans']]
  assert spans == ['Cover page', 'Revenue was $12 million', '', 'The end']
  assert question.options is None and question.answer == '$12.00' and question.group == 'ACME_2021_10K'
  assert 'filing_missing' not in question.metadata


def test_financebench_question_without_its_filing_stays_and_says_so(tmp_path):
  prepared = finance(tmp_path, [filing_question(1, 'ACME_2021_10K'), filing_question(2, 'ACME_2020_10K')],
                     {'ACME_2021_10K.pdf': pdf_bytes(PAGES)})
  assert [q.metadata.get('filing_missing', False) for q in prepared.questions] == [False, True]
  assert prepared.questions[1].metadata['evidence'][0]['text'] == 'Revenue was $12'
  assert any('1 questions are on 1 filings' in note and 'ACME_2020_10K' in note for note in prepared.notes)


@pytest.mark.parametrize('data, reason', [
  (pdf_bytes(PAGES, encrypted=True), 'encrypted'), (pdf_bytes([[], []]), 'no text on its 2 pages'),
  (pdf_bytes(PAGES)[:-60], 'cut short'), (b'', 'empty'), (b'<html>not found</html>', 'not a PDF')])
def test_financebench_filing_that_cannot_be_read(tmp_path, data, reason):
  prepared = finance(tmp_path, [filing_question(1, 'ACME_2021_10K')], {'ACME_2021_10K.pdf': data})
  assert not prepared.documents and prepared.questions[0].metadata['filing_missing'] is True
  assert reason in prepared.skipped[0].reason and prepared.skipped[0].place == 'document ACME_2021_10K'


def test_financebench_referenced_or_all_filings(tmp_path):
  pdfs = {f'ACME_{year}_10K.pdf': pdf_bytes([[f'Year {year}']]) for year in (2020, 2021, 2022)}
  rows = [filing_question(1, 'ACME_2021_10K')]
  assert [d.id for d in finance(tmp_path, rows, pdfs).documents] == ['ACME_2021_10K']
  assert len(finance(tmp_path, rows, filings='all').documents) == 3
  with pytest.raises(UserError, match='--options=filings=some: expected one of referenced, all'):
    finance(tmp_path, rows, filings='some')


def test_financebench_markdown_instead_of_pdf(tmp_path):
  (tmp_path / 'ACME_2021_10K.md').write_text('# Cover\fRevenue was $12 million')
  rows = [filing_question(1, 'ACME_2021_10K', page=1)]
  for options in ({}, {'format': 'markdown'}):
    prepared = finance(tmp_path, rows, **options)
    evidence = prepared.questions[0].metadata['evidence'][0]
    assert prepared.documents[0].text[evidence['start']:evidence['end']] == 'Revenue was $12 million'
  assert not finance(tmp_path, rows, format='pdf').documents


def test_financebench_metadata_described_twice_is_used_once(tmp_path):
  info = [{'doc_name': 'ACME_2021_annualreport', 'company': 'Acme Inc', 'doc_type': '10k_annualreport', 'doc_period': p}
          for p in (2020, 2021)]
  prepared = finance(tmp_path, [filing_question(1, 'ACME_2021_annualreport')], info=info)
  assert prepared.questions[0].metadata['identity'] == 'Acme Inc annual report 2021'
  assert any('describes ACME_2021_annualreport once more' in note for note in prepared.notes)


@pytest.mark.parametrize('name, title', [
  ('AMCOR_2022_8K_dated-2022-07-01', 'AMCOR 8-K report dated 2022-07-01'),
  ('BESTBUY_2024Q2_10Q', 'BESTBUY 10-Q quarterly report 2024 Q2'),
  ('JOHNSON_JOHNSON_2016_10K', 'JOHNSON JOHNSON 10-K annual report 2016'),
  ('MCDONALDS_8K_dated-2023-01-06', 'MCDONALDS 8-K report dated 2023-01-06'), ('something', 'something')])
def test_financebench_titles_from_names_alone(name, title):
  assert describe(name, None)[0] == title


def test_financebench_bad_rows(tmp_path):
  good = filing_question(1, 'A_2021_10K')
  prepared = finance(tmp_path, [good, good, filing_question(2, 'A_2021_10K', answer='')])
  assert len(prepared.questions) == 1
  assert [s.reason.split(':')[0] for s in prepared.skipped] == ['duplicate', 'field "answer" is missing or empty']
  write_lines(tmp_path / 'financebench_open_source.jsonl', ['{"a": 1}', '{'])
  with pytest.raises(UserError, match=r'financebench_open_source.jsonl:2: not valid JSON'):
    financebench.read(str(tmp_path), DEFAULTS)
  with pytest.raises(UserError, match=r'holds no financebench_open_source.jsonl'):
    (tmp_path / 'empty').mkdir()
    financebench.read(str(tmp_path / 'empty'), DEFAULTS)


def test_financebench_answers_may_be_numbers(tmp_path):
  rows = [filing_question(i, 'A_2021_10K', answer=a) for i, a in enumerate([0, 0.5, -3, None, True, ' ', []])]
  prepared = finance(tmp_path, rows)
  assert [q.answer for q in prepared.questions] == ['0', '0.5', '-3']
  assert [s.reason for s in prepared.skipped] == ['field "answer" is missing or empty'] * 4


def test_financebench_real_pages_hold_their_evidence(test_data, tmp_path):
  names = ['FOOTLOCKER_2022_8K_dated-2022-05-20', 'ULTABEAUTY_2023Q4_EARNINGS', 'AMCOR_2022_8K_dated-2022-07-01']
  lines = (test_data / 'financebench/open_source.half.jsonl').read_text().splitlines()
  rows = [row for row in map(json.loads, lines) if row['doc_name'] in names]
  pdfs = {f'{n}.pdf': (test_data / 'financebench' / f'{n}.pdf').read_bytes() for n in names}
  prepared = finance(tmp_path, rows, pdfs)
  texts = {d.id: d.text for d in prepared.documents}
  assert len(rows) >= 4 and len(texts) == 3
  for question in prepared.questions:
    for evidence in question.metadata['evidence']:
      page = set(texts[evidence['document_id']][evidence['start']:evidence['end']].split())
      words = set(evidence['text'].split())
      assert len(words & page) > 0.85 * len(words)
