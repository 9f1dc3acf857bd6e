"""A record becomes token ids and a loss mask: special tokens and conversation format come from the tokenizer alone.

* `text`: BOS (where the tokenizer has one), the text, EOS. Strings in the text that look like special tokens
  ("<|endoftext|>") are encoded as the plain characters they are.
* `messages`: the tokenizer's chat template with thinking off; the loss lies on the assistant's turns up to and with
  the token that ends each. Where the template marks them with {% generation %}, those marks hold; otherwise the turns
  are located by rendering the conversation a second time with placeholders for the assistant's words.
* Dates that a template would take from the clock are one fixed date.
* `messages` with a tokenizer that has no chat template (base models): `PLAIN_TEMPLATE`.
"""

import re
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np

from data_gen.errors import UserError
from data_gen.schema import Record

# "Question: ...\nAnswer: ...<eos>" for base models. A prompt made from it (`prompt_text`) ends in "Answer:", without a
# trailing space, since most tokenizers attach the space to the word that follows.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "Answer:{% generation %}{{ ' ' + message['content'] + (eos_token or '') }}{% endgeneration %}"
    "{%- if not loop.last -%}{{ '\n\n' }}{%- endif -%}"
    "{%- elif message['role'] == 'user' -%}{{ 'Question: ' + message['content'] + '\n' }}"
    "{%- else -%}{{ message['content'] + '\n\n' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}Answer:{%- endif -%}")

_START, _END = '\U000f5a01', '\U000f5a02'  # private-use characters: no text holds them
_GENERATION = re.compile(r'\{%(-?)\s*(end)?generation\s*(-?)%\}')

# Llama's templates write today's date into every conversation; training and evaluation would differ by the day. This is
# what Llama 3.1's own template has where it is given no date.
_DATE = '26 Jul 2024'
_CLOCK = re.compile(r'\bstrftime_now\([^()]*\)')

Span = tuple[int, int]


def chat_template(tokenizer: Any) -> str:
  """The tokenizer's chat template, or `PLAIN_TEMPLATE` where it has none."""
  return tokenizer.get_chat_template() if tokenizer.chat_template else PLAIN_TEMPLATE


def prompt_text(tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
  """A conversation up to the point where the assistant speaks, exactly as in training; encode it without adding
  special tokens."""
  return _apply(tokenizer, chat_template(tokenizer), messages, add_generation_prompt=True)


class Renderer:
  """Renders batches of records.

  Args:
    tokenizer: a fast Hugging Face tokenizer.
    loss_on_prompt: take the loss on the whole conversation instead of the assistant's turns alone.
  """

  def __init__(self, tokenizer: Any, *, loss_on_prompt: bool = False):
    self.tokenizer = tokenizer
    self.loss_on_prompt = loss_on_prompt
    self._backend = tokenizer.backend_tokenizer
    self._template = chat_template(tokenizer)
    self._marks_generation = bool(_GENERATION.search(self._template))
    self._marked_template = _GENERATION.sub(_mark, self._template)
    specials = sorted((t for t in tokenizer.all_special_tokens if t), key=len, reverse=True)
    alternatives = '|'.join(map(re.escape, specials)) or r'(?!)'
    self._special = re.compile(alternatives)
    self._turn_end = re.compile(rf'\s*(?:{alternatives})')

  def __call__(self, records: Sequence[Record], places: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids int32 [n], loss mask bool [n]) of every record; the mask says which tokens are predicted.

    Raises:
      UserError: a record without words, without an assistant's turn, or that the chat template refuses; headed by
        its entry of `places` (file:line).
    """
    texts = [i for i, r in enumerate(records) if r.messages is None]
    talks = [i for i, r in enumerate(records) if r.messages is not None]
    out: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for i in texts:
      if not (records[i].text or '').strip():
        raise UserError(f'{places[i]}: field "text" is empty')
    out.update(zip(texts, self._texts([records[i].text or '' for i in texts])))
    out.update(zip(talks, self._talks([records[i] for i in talks], [places[i] for i in talks])))
    return [out[i] for i in range(len(records))]

  def _texts(self, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    head = [self.tokenizer.bos_token_id] if self.tokenizer.bos_token_id is not None else []
    tail = [self.tokenizer.eos_token_id] if self.tokenizer.eos_token_id is not None else []
    encodings = self._encode(texts, specials_as_text=True, offsets=False)
    rendered = [np.array([*head, *e.ids, *tail], np.int32) for e in encodings]
    return [(ids, np.ones(len(ids), bool)) for ids in rendered]

  def _talks(self, records: list[Record], places: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    rendered = [self._conversation(r.messages or (), place) for r, place in zip(records, places)]
    encodings = self._encode([text for text, _ in rendered], offsets=not self.loss_on_prompt)
    out = []
    for record, place, (text, spans), encoding in zip(records, places, rendered, encodings):
      contents = [m['content'] for m in record.messages or ()]
      if any(self._special.search(c) for c in contents):
        ids, mask = self._encode_guarded(text, contents, spans)
      else:
        ids = np.array(encoding.ids, np.int32)
        mask = np.zeros(len(ids), bool)
        for span in () if self.loss_on_prompt else spans:
          mask[_token_range(encoding, span)] = True
      if self.loss_on_prompt:
        mask = np.ones(len(ids), bool)
      if not mask.any():
        raise UserError(f'{place}: no token of the conversation is an answer to learn from')
      out.append((ids, mask))
    return out

  def _encode(self, texts: list[str], specials_as_text: bool = False, offsets: bool = True) -> list[Any]:
    self._backend.no_truncation()
    self._backend.no_padding()
    self._backend.encode_special_tokens = specials_as_text
    try:
      encode = self._backend.encode_batch if offsets else self._backend.encode_batch_fast
      return encode(texts, add_special_tokens=False)
    finally:
      self._backend.encode_special_tokens = False

  def _encode_guarded(self, text: str, contents: list[str], spans: list[Span]) -> tuple[np.ndarray, np.ndarray]:
    """Encodes a conversation whose words contain strings of special tokens: those words apart, as plain text."""
    pieces, position = [], 0
    for content in (c.strip() for c in contents):
      at = text.find(content, position)
      if at >= 0 and self._special.search(content):
        pieces += [(position, at, False), (at, at + len(content), True)]
        position = at + len(content)
    pieces.append((position, len(text), False))
    ids, mask = [], []
    for start, end, as_text in pieces:
      encoding = self._encode([text[start:end]], specials_as_text=as_text)[0]
      ids += encoding.ids
      mask += [any(a < start + right and start + left < b for a, b in spans) for left, right in encoding.offsets]
    return np.array(ids, np.int32), np.array(mask, bool)

  def _conversation(self, messages: Sequence[dict[str, str]], place: str) -> tuple[str, list[Span]]:
    """The rendered text and the character spans of it that the assistant says."""
    if not any(m['role'] == 'assistant' and m['content'].strip() for m in messages):
      raise UserError(f'{place}: field "messages" has no assistant turn with words')
    try:
      if self._marks_generation:
        return _take_marks(_apply(self.tokenizer, self._marked_template, messages))
      text = _apply(self.tokenizer, self._template, messages)
      spans = self._spans_by_frame(text, messages) or self._spans_by_prefix(text, messages)
    except jinja2.TemplateError as e:
      raise UserError(f'{place}: the chat template refuses the conversation ({e})') from None
    if spans is None:
      raise UserError(f'{place}: the chat template rewrites the conversation so that the answers cannot be located')
    return text, spans

  def _spans_by_frame(self, text: str, messages: Sequence[dict[str, str]]) -> list[Span] | None:
    """Renders placeholders instead of the assistant's words: what stands around them is the template's own."""
    frame = _apply(self.tokenizer, self._template, [
        {**m, 'content': _START} if m['role'] == 'assistant' else m for m in messages])
    fixed = frame.split(_START)
    if len(fixed) - 1 != sum(m['role'] == 'assistant' for m in messages) or not text.startswith(fixed[0]):
      return None
    spans, start, last = [], len(fixed[0]), len(fixed) - 1
    for i in range(1, len(fixed)):
      end = text.find(fixed[i], start) if i < last else len(text) - len(fixed[last])
      if end < start or not text.startswith(fixed[i], end):
        return None
      spans.append(self._with_turn_end(text, (start, end)))
      start = end + len(fixed[i])
    return spans

  def _spans_by_prefix(self, text: str, messages: Sequence[dict[str, str]]) -> list[Span] | None:
    """The answer to the last turn is what follows the prompt for it (templates that take answers apart)."""
    if messages[-1]['role'] != 'assistant':
      return None
    for thinking in (False, True):
      prompt = _apply(self.tokenizer, self._template, messages[:-1], thinking=thinking, add_generation_prompt=True)
      if text.startswith(prompt):
        return [(len(prompt), len(text.rstrip()))]
    return None

  def _with_turn_end(self, text: str, span: Span) -> Span:
    end = self._turn_end.match(text, span[1])
    return (span[0], end.end()) if end else span


def _mark(match: re.Match[str]) -> str:
  # Again a block, not an expression, so that the template's trimming of white space around blocks stays as it was.
  left, end, right = match.groups()
  return f'{{%{left} if true %}}{_END if end else _START}{{% endif {right}%}}'


def _apply(tokenizer: Any, template: str, messages: Sequence[dict[str, str]], thinking: bool = False,
           add_generation_prompt: bool = False) -> str:
  return tokenizer.apply_chat_template(
      list(messages), chat_template=_CLOCK.sub(repr(_DATE), template), tokenize=False,
      add_generation_prompt=add_generation_prompt, enable_thinking=thinking, date_string=_DATE)


def _take_marks(marked: str) -> tuple[str, list[Span]]:
  """Takes the marks out of a rendered text; spans are positions in what is left."""
  text, spans, opened = '', [], 0
  for part in re.split(f'([{_START}{_END}])', marked):
    if part == _START:
      opened = len(text)
    elif part == _END:
      spans.append((opened, len(text)))
    else:
      text += part
  return text, spans


def _token_range(encoding: Any, span: Span) -> slice:
  """The tokens that overlap a span of characters; offsets may leave out spaces, so it looks inwards for the ends."""
  first = next((t for c in range(*span) if (t := encoding.char_to_token(c)) is not None), None)
  last = next((t for c in range(span[1] - 1, span[0] - 1, -1) if (t := encoding.char_to_token(c)) is not None), None)
  return slice(0, 0) if first is None or last is None else slice(first, last + 1)
