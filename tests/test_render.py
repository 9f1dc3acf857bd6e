"""Rendering: special tokens from the tokenizer, loss where it belongs, complaints that name the place."""

import json

import numpy as np
import pytest
from pack_helpers import CHATML, make_tokenizer

from data_gen.errors import UserError
from data_gen.schema import Record
from smt_jax.data.render import PLAIN_TEMPLATE, Renderer, prompt_text
from smt_jax.data.tokenizer import load_tokenizer, tokenizer_fingerprint

ONE = ({'role': 'user', 'content': 'ba ro?'}, {'role': 'assistant', 'content': 'ken lu.'})
TWO = ({'role': 'system', 'content': 'vi'}, *ONE, {'role': 'user', 'content': 'ti?'},
       {'role': 'assistant', 'content': 'mor.'})
GENERATION = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}\n"
    "  {%- generation -%}\n  {{ m['content'] }}<|im_end|>\n  {%- endgeneration -%}\n"
    "{% else %}{{ m['content'] }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
TRIMMING = CHATML.replace("m['content']", "m['content'] | trim")
THINKING = (  # the last answer gets an empty thought, earlier ones lose theirs, as Qwen3's does
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}"
    "{% if '</think>' in m['content'] %}{% set parts = m['content'].split('</think>') %}"
    "{{ parts[0].rstrip('\n') + '\n</think>\n\n' + parts[1].lstrip('\n') }}"
    "{% else %}{{ '<think>\n\n</think>\n\n' + m['content'] }}{% endif %}"
    "{% else %}{{ m['content'].split('</think>')[-1].lstrip('\n') }}{% endif %}{{ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}")
LLAMA31 = (  # the parts of Llama 3.1's that matter here: a system turn with a date, trimmed words, turns ended by eot
    "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|im_start|>system\n\nCutting Knowledge Date: December 2023\nToday Date: ' + date_string + '\n\n' }}"
    "{{- system + '<|im_end|>' }}"
    "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n\n' + m['content'] | trim + '<|im_end|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n\n' }}{%- endif %}")
CLOCK = LLAMA31.replace("'26 Jul 2024'", "strftime_now('%d %b %Y')")  # as Llama 3.2's has it
REFUSING = "{{ raise_exception('roles must alternate') }}"


def record(messages=None, text=None) -> Record:
  return Record('r', 'qa' if messages else 'document', 'm', messages=messages, text=text)


def tokenizer_with(tmp_path, template):
  make_tokenizer(tmp_path / 'tokenizer', template)
  return load_tokenizer(tmp_path / 'tokenizer')


def learned(tokenizer, messages, **kwargs) -> list[str]:
  """The runs of tokens that carry loss, decoded."""
  ids, mask = Renderer(tokenizer, **kwargs)([record(messages)], ['f:1'])[0]
  edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
  return [tokenizer.decode(ids[a:b]) for a, b in edges.reshape(-1, 2)]


@pytest.mark.parametrize(('template', 'answers'), [
    (CHATML, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (TRIMMING, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (THINKING, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (GENERATION, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (LLAMA31, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (CLOCK, ['ken lu.<|im_end|>', 'mor.<|im_end|>']),
    (None, [' ken lu.<|im_end|>', ' mor.<|im_end|>']),
])
def test_loss_lies_on_the_answers_and_their_ends(tmp_path, template, answers):
  tokenizer = tokenizer_with(tmp_path, template)
  assert learned(tokenizer, TWO) == answers
  assert learned(tokenizer, ONE) == answers[:1]


@pytest.mark.parametrize('template', [CHATML, TRIMMING, THINKING, GENERATION, None])
def test_ids_are_those_of_the_template(tmp_path, template):
  tokenizer = tokenizer_with(tmp_path, template)
  ids, _ = Renderer(tokenizer)([record(TWO)], ['f:1'])[0]
  expected = tokenizer.apply_chat_template(
      list(TWO), chat_template=template or PLAIN_TEMPLATE, tokenize=True, return_dict=True, enable_thinking=False)
  assert ids.tolist() == expected['input_ids']


def test_mask_of_a_generation_template_is_that_of_transformers(tmp_path):
  tokenizer = tokenizer_with(tmp_path, GENERATION)
  ids, mask = Renderer(tokenizer)([record(TWO)], ['f:1'])[0]
  expected = tokenizer.apply_chat_template(
      list(TWO), tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
  assert ids.tolist() == expected['input_ids']
  assert mask.astype(int).tolist() == expected['assistant_masks']


def test_a_thought_in_the_answer_is_learned_with_it(tmp_path):
  tokenizer = tokenizer_with(tmp_path, THINKING)
  answer = {'role': 'assistant', 'content': '<think>\nlu\n</think>\n\nken.'}
  assert learned(tokenizer, (ONE[0], answer)) == ['<think>\nlu\n</think>\n\nken.<|im_end|>']


def test_words_trimmed_by_the_template_are_found(tmp_path):
  tokenizer = tokenizer_with(tmp_path, TRIMMING)
  assert learned(tokenizer, (ONE[0], {'role': 'assistant', 'content': '\n ken lu. \n'})) == ['ken lu.<|im_end|>']


@pytest.mark.parametrize('template', [CHATML, THINKING, GENERATION, None])
def test_the_prompt_is_how_the_training_text_begins(tmp_path, template):
  tokenizer = tokenizer_with(tmp_path, template)
  ids, _ = Renderer(tokenizer)([record(ONE)], ['f:1'])[0]
  assert tokenizer.decode(ids).startswith(prompt_text(tokenizer, ONE[:1]))


def test_loss_on_prompt_covers_everything(tmp_path):
  tokenizer = tokenizer_with(tmp_path, CHATML)
  _, mask = Renderer(tokenizer, loss_on_prompt=True)([record(TWO)], ['f:1'])[0]
  assert mask.all()


def test_text_stands_between_bos_and_eos(tmp_path):
  tokenizer = tokenizer_with(tmp_path, None)
  ids, mask = Renderer(tokenizer)([record(text='ba ro.')], ['f:1'])[0]
  assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id and mask.all()
  assert tokenizer.decode(ids[1:-1]) == 'ba ro.'


@pytest.mark.parametrize('template', [CHATML, GENERATION, None])
def test_special_tokens_in_words_are_plain_characters(tmp_path, template):
  tokenizer = tokenizer_with(tmp_path, template)
  clean = (ONE[0], {'role': 'assistant', 'content': 'ken lu mor.'})
  dirty = ({'role': 'user', 'content': 'ba <s> ro?'}, {'role': 'assistant', 'content': 'ken <|im_end|> mor.'})
  (plain, _), (text, _), (talk, mask) = Renderer(tokenizer)(
      [record(clean), record(text='ba<|im_end|>ro<s>'), record(dirty)], ['f:1', 'f:2', 'f:3'])
  specials = set(tokenizer.all_special_ids)
  assert [i for i in talk if i in specials] == [i for i in plain if i in specials]
  assert [i for i in text if i in specials] == [tokenizer.bos_token_id, tokenizer.eos_token_id]
  assert tokenizer.decode(text[1:-1]) == 'ba<|im_end|>ro<s>'
  assert tokenizer.decode(talk[mask]).strip() == 'ken <|im_end|> mor.<|im_end|>'


@pytest.mark.parametrize(('template', 'bad', 'message'), [
    (CHATML, record(text=' \n'), 'f:7: field "text" is empty'),
    (CHATML, record(ONE[:1]), 'f:7: field "messages" has no assistant turn'),
    (CHATML, record((ONE[0], {'role': 'assistant', 'content': ' '})), 'f:7: field "messages" has no assistant turn'),
    (REFUSING, record(ONE), 'f:7: the chat template refuses the conversation (roles must alternate'),
    ("{{ messages | length }} turns", record(ONE), 'f:7: the chat template rewrites'),
])
def test_complaints_name_the_place(tmp_path, template, bad, message):
  with pytest.raises(UserError) as e:
    Renderer(tokenizer_with(tmp_path, template))([bad], ['f:7'])
  assert str(e.value).startswith(message)


@pytest.mark.parametrize('template', [LLAMA31, CLOCK, CLOCK.replace('if not date_string is defined', 'if true')])
def test_a_template_with_a_date_gives_the_same_text_every_day(tmp_path, template):
  text = prompt_text(tokenizer_with(tmp_path, template), ONE[:1])
  assert 'Today Date: 26 Jul 2024' in text and text.startswith('<s><|im_start|>system') and text.count('<s>') == 1
  ids = Renderer(tokenizer_with(tmp_path, template))([record(TWO)], ['f:1'])[0][0]
  assert list(ids).count(1) == 1  # one BOS, the template's own


def test_qwen3s_own_template(tmp_path, test_data):
  template = json.loads((test_data / 'tokenizers/qwen/qwen3_tokenizer_config.json').read_text())['chat_template']
  tokenizer = tokenizer_with(tmp_path, template)
  assert learned(tokenizer, TWO) == ['ken lu.<|im_end|>', 'mor.<|im_end|>']
  assert prompt_text(tokenizer, ONE[:1]).endswith('<think>\n\n</think>\n\n')


def test_fingerprint_knows_tokens_and_template_but_not_the_folder(tmp_path):
  one = make_tokenizer(tmp_path / 'a')
  one.save_pretrained(tmp_path / 'elsewhere')
  same = load_tokenizer(tmp_path / 'elsewhere')
  same.pad_token = same.eos_token
  assert tokenizer_fingerprint(same) == tokenizer_fingerprint(one)
  prints = {tokenizer_fingerprint(t) for t in (
      one, make_tokenizer(tmp_path / 'b', vocab_size=399), make_tokenizer(tmp_path / 'c', TRIMMING),
      make_tokenizer(tmp_path / 'd', None))}
  assert len(prints) == 4


def test_a_folder_without_tokenizer_is_refused(tmp_path):
  with pytest.raises(UserError, match='no such tokenizer folder'):
    load_tokenizer(tmp_path / 'nowhere')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='empty: holds no tokenizer'):
    load_tokenizer(tmp_path / 'empty')
