"""From what a model wrote to the option it chose.

The strict parser takes the last explicit answer in any of the forms that models write and nothing that merely looks
like one: the article "A", a refused option ("B is wrong"), several letters at once. The lenient parser adds a match of
an option's own words; it is reported apart, because it is kinder to some models than to others.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

from smt_jax.eval import letters
from smt_jax.eval.prompts import LETTERS


@dataclasses.dataclass(frozen=True)
class Parsed:
  """What was understood: option indices as shown, None where nothing (or nothing unambiguous) was.

  Attributes:
    strict: from an explicit letter.
    lenient: `strict`, or else the one option whose text is given.
    how: the rule that decided: 'explicit', 'boxed', 'weak', 'final line', 'first line', 'text', 'ambiguous', 'none'.
  """
  strict: int | None
  lenient: int | None
  how: str


RUN_ON = '\nQuestion:'  # where a reply has run on into a question of its own

# "answer ... is", "answer:", "correct option is": what stands before a letter that is meant as the answer.
_SUBJECT = re.compile(
    r'(?:\banswers?\b|\bans\b|\bsolution\b|\bconclusion\b|\bletter\b'
    r'|\b(?:correct|right|best|final|my|likely|accurate|appropriate|suitable|supported|fitting|chosen|selected|closest)\s+'
    r'(?:option|choice|one|letter|response|selection|statement|match|fit)\b)', re.I)
_LINK = re.compile(
    rf'(?:\b(?:is|(?:would|must|should|will)\s(?:{letters.ADVERB}\s)?be|(?:has|seems|appears)\sto\sbe)\b'
    r'|:|=|->|→)+', re.I)
_NEGATION = re.compile(r"\b(?:not|never|cannot|wrong|incorrect|worst|least|if)\b|n't\b", re.I)
_CLAUSE = re.compile(r'[,;:(\n]|\b(?:so|but|and|therefore|thus|hence)\b', re.I)
# Right before a letter: what leaves open, or denies, that it is the answer.
_OPEN = re.compile(
    r"(?:\b(?:if|whether|neither|why|nor|not)|n't|(?:n't|\b(?:not|never|hardly))\s+(?:think|believe|say|mean)"
    r"(?:\s+that)?)\s*$", re.I)
_REFUSED = re.compile(
    r"(?:\b(?:not|never|nothing|no|neither|cannot|nor|less)\b|n't)(?:[^\w.!?;,:\n]+\w+){0,2}[^\w.!?;,:\n]*$", re.I)
_TAG = re.compile(r'<(?:final_)?answer>|\\(?:boxed|fbox)\s*\{', re.I)
_LINE = re.compile(
    r'^[ \t>-]*(?:(?:final|correct|best|right) )?(?:answer|ans\.?|option|choice)'
    r'(?:[ \t]+|[ \t]*[-–—][ \t]*)[(\[]?([A-Ja-j])[)\].]*[ \t]*$',
    re.I | re.M)
_VERDICT = re.compile(
    r'(?<![\w\'])(?P<head>(?:option|choice|answer|letter)\s+)?(?P<open>["\'(\[]{0,4})(?P<letter>[A-Ja-j])["\')\].:]{0,4}\s+'
    r'(?:fits\s+(?:the\s+\w+\s+)?best\b|(?:is|seems|looks|appears|would be|must be|has to be)\s+(?:to be\s+)?'
    r'(?:(?:clearly|definitely|likely|probably|therefore|thus|indeed|obviously|also)\s+)*(?:the\s+)?'
    r'(?:(?:only|one|single)\s+)*'
    r'(?:correct|right|best|answer|better\s+(?:answer|option|choice)|'
    r'most\s+(?:correct|accurate|appropriate|likely|plausible|fitting))\b)'
    r'(?!\s+(?:\w+\s+)?(?:only\s+(?:if|when)|unless)\b)', re.I)
# After a verdict: it is about something else than the question, "correct in the film version".
_QUALIFIED = re.compile(
    r'\s+(?:in|for|under|within)\s+(?!(?:this|the)\s+(?:given\s+)?(?:question|passage|story|text|context|case|article)\b)',
    re.I)
_WEAK = re.compile(
    r"\b(?:choose|chose|choosing|pick|picking|select|selecting|go with|going with|opt for|leaves|leaving|left with|say|"
    r"(?:it|this|that|which)(?:'s| is| must be| has to be| would be| should be))\b"
    r"(?:\s+(?:only|us with|clearly|therefore|likely))?"
    r"|(?:^|(?<=[.,;\n]))\s*(?:so|therefore|thus|hence|i(?:'d| would|'ll| will) answer|i (?:think|believe|guess)"
    r"|probably|(?:most )?likely)\b[,:]?"
    r"|\b(?:only|matche?s|corresponds? to|supports?|points? to|suggests?|favou?rs?|aligns? with|indicates?|is)\s+"
    r"(?=[\"'(\[]*(?:option|choice|answer)\s)", re.I | re.M)
_LISTED = re.compile(
    r'^[ \t>*-]*(?:(?:[Oo]ption|[Cc]hoice)[ \t]+)?[(\[]?([A-J])(?:[.):\]]+|[ \t]+[-–—])[ \t]*\S', re.M)
_BEHIND_WORDS = re.compile(
    r'(?P<words>.*\S)\s*[(\[]\s*(?:option|choice|answer)?\s*(?P<letter>[A-J])\s*[)\]][\s.]*', re.I)


def parse_choice(text: str, options: Sequence[str]) -> Parsed:
  """The option that a reply chooses, out of `options` as they were shown (letters A, B, ... in order)."""
  whole = clean(text)
  text = whole.split(RUN_ON, 1)[0]
  found = _letter(text, options)
  if found is None and text != whole:  # nothing answered yet: the reply itself repeats the question
    text = whole
    found = _letter(text, options)
  if found is not None and isinstance(found[0], int):
    return Parsed(found[0], found[0], found[1])
  if found is not None and found[0] == 'ambiguous':
    return Parsed(None, None, 'ambiguous')
  by_text = _by_text(text, options)
  return Parsed(None, by_text, 'none' if by_text is None else 'text')


def strip_thinking(text: str) -> str:
  """The reply without its `<think>` part; empty where the thinking was never closed."""
  if '</think>' in text:
    return text.rsplit('</think>', 1)[1]
  return text.split('<think>', 1)[0]


def clean(text: str, dressing: str = r'[*`$#]|(?<!\w)_+|_+(?!\w)') -> str:
  """Plain text: thinking, special tokens, emphasis and LaTeX dressing taken off, Unicode letters folded."""
  text = unicodedata.normalize('NFKC', strip_thinking(text))
  text = re.sub(r'<\|[^|>]*\|>|</?s>', ' ', text)
  text = text.translate(str.maketrans('“”„‘’', '"""\'\'', '\u200b\u200c\u200d\ufeff'))
  for _ in range(2):  # \boxed{\text{\textbf{C}}}
    text = re.sub(r'\\(?:text|textbf|mathrm|mathbf|bf|rm)\s*\{([^{}]*)\}', r'\1', text)
  text = re.sub(r'\\[()\[\],;! ]', ' ', text)
  return re.sub(dressing, '', text).strip()


Found = tuple[int | str, str] | None  # (option index, 'ambiguous' or 'words'; rule)


def _letter(text: str, options: Sequence[str]) -> Found:
  found = _explicit(text, options)
  if found is None:
    found = _weak(text, options)
  return _by_line(text, options) if found is None else found


def _explicit(text: str, options: Sequence[str]) -> Found:
  """The last explicit statement of an answer, whatever its form."""
  events: list[tuple[int, int | str, str]] = []  # (position, letter, rule)
  answered = linked = -1  # the subject that has its letter: "the answer is A: a red boat" states it once
  for link in _LINK.finditer(text):
    start = max(text.rfind('\n', 0, link.start()), link.start() - 90, 0)
    before = re.split(r'[.!?;]\s', text[start:link.start()])[-1]
    subjects = list(_SUBJECT.finditer(before))
    if not subjects or _negated(before, subjects[-1]):
      continue
    subject = link.start() - len(before) + subjects[-1].start()
    value = letters.at(text, link.end(), options)
    if subject == answered and re.fullmatch(r'\W*[A-J]\W*', text[linked:link.start()]):
      continue  # the colon of "Answer: A: a red boat"
    if not isinstance(value, int):
      behind = _behind_words(letters.line(text, link.end()), options)
      value = value if behind is None else behind
    adjoining = ':' in link.group() and not before[subjects[-1].end():].strip(' "\'')
    if value is None and adjoining and _equal(letters.line(text, link.end()), options) is not None:
      value = 'words'
    if value is not None and not (value == 'words' and subject == answered):
      events.append((link.start(), value, 'explicit'))
      answered, linked = subject, link.end()
  for tag in _TAG.finditer(text):
    value = letters.at(text, tag.end(), options)
    if value is not None:
      events.append((tag.start(), value, 'boxed' if '{' in tag.group() else 'explicit'))
  events += [(m.start(), letters.index(m.group(1), options), 'explicit') for m in _LINE.finditer(text)]
  for m in _VERDICT.finditer(text):
    sure = m['head'] or m['open'] or m['letter'].isupper()
    if sure and not _OPEN.search(text[max(0, m.start() - 24):m.start()]):
      place = m.start('letter') - (len(text) if _QUALIFIED.match(text, m.end()) else 0)  # qualified: before all others
      events.append((place, letters.index(m['letter'], options), 'explicit'))
  if not events:
    return None
  _, value, rule = max(events, key=lambda e: e[0])
  return value, rule


def _weak(text: str, options: Sequence[str]) -> Found:
  """The last "I choose C", "it must be (C)", "so C": counted only where no answer is stated outright."""
  found: Found = None
  for m in _WEAK.finditer(text):
    value = letters.at(text, m.end(), options)
    if value is not None and not _REFUSED.search(text[max(0, m.start() - 40):m.start()].rsplit('\n', 1)[-1]):
      found = value, 'weak'
  return found


def _negated(before: str, subject: re.Match[str]) -> bool:
  """Whether a clause speaks of another answer than its own: "the least likely answer is", "if the answer were"."""
  clause = max((m.end() for m in _CLAUSE.finditer(before, 0, subject.start())), default=0)
  return bool(_NEGATION.search(before, max(clause, subject.start() - 24)))


def _behind_words(line: str, options: Sequence[str]) -> int | str | None:
  """"three dogs (C)": the letter where it is that of the words, 'ambiguous' where it is another one's."""
  m = _BEHIND_WORDS.fullmatch(line) if len(line) < 1000 and line.rstrip(' .')[-1:] in (')', ']') else None
  named = None if m is None else _equal(m['words'], options)
  if m is None or named is None:
    return None
  return named if letters.index(m['letter'], options) == named else 'ambiguous'


def _by_line(text: str, options: Sequence[str]) -> Found:
  """A last or first line that is a letter, alone or before the option's text; never a line of a list of options."""
  lines = [line.strip(' \t->') for line in text.splitlines() if line.strip(' \t->')]
  listed = {m.group(1) for m in _LISTED.finditer(text)}
  for line, rule in ((lines[-1], 'final line'), (lines[0], 'first line')) if lines else ():
    alone = re.fullmatch(r'["\'(\[{<\s]*([A-Ja-j])["\')\]}>.:,\s]*', line)
    if alone:
      return letters.index(alone.group(1), options), rule
    behind = _behind_words(line, options)
    if behind is not None and len(listed) <= 1:
      return behind, rule
    headed = re.match(r'(?:(?:option|choice)\s+)?(?:[(\[]?[A-J][.):\]]+\s*\S|[A-J]\s+[-–—]\s)', line, re.I)
    bracketed = rule == 'first line' and re.match(r'[(\[][A-J][)\]]', line)
    if re.match(r'[(\[]?[A-J][.):\]]+\s', line) and letters.refused(line.split(maxsplit=1)[1]):
      continue
    if (headed or bracketed or letters.before_option(line, options)) and len(listed) <= 1:
      value = letters.at(line, 0, options)
      if value is not None:
        return value, rule
    if re.fullmatch(r'[A-J](?:\s*(?:,|/|&|and|or)?\s*[A-J])+\.?', line):
      return 'ambiguous', rule
  return None


def _by_text(text: str, options: Sequence[str]) -> int | None:
  """The one option whose words are given: after the last "Answer:", in the last line, or anywhere."""
  after = re.split(r'(?i)\banswer\s*(?:is\b|:)', text)[-1]
  lines = [line for line in text.splitlines() if line.strip()]
  for piece in (after, lines[-1] if lines else '', text):
    exact = _equal(letters.line(piece, 0), options)
    if exact is not None:
      return exact
    held = _held(piece, options)
    if len(held) == 1:
      return held[0]
    if len(held) > 1:
      return None
  return None


def _equal(piece: str, options: Sequence[str]) -> int | None:
  words = letters.words(piece)
  same = [i for i, option in enumerate(options) if words and letters.words(option) == words]
  return same[0] if len(same) == 1 else None


def _held(piece: str, options: Sequence[str]) -> list[int]:
  """Options whose words occur in the piece; one that only occurs inside a longer one that occurs too is left out."""
  text = f' {letters.words(piece)} '
  found = [(i, f' {letters.words(option)} ') for i, option in enumerate(options)]
  found = [(i, words) for i, words in found if words.strip() and words in text]
  return [i for i, words in found if not any(words in other and words != other for _, other in found)]


def parse_open(text: str) -> tuple[str | None, str]:
  """The answer to a question without options: (text after the last "Answer:" or None, whole cleaned reply).

  The whole reply is what a lenient judge may read where the reader left out the marker.
  """
  text = clean(text, dressing=r'\*\*|`')  # "$" and "#" may belong to a figure
  own = text.split(RUN_ON, 1)[0].rstrip()
  text = own if re.search(r'(?i)\banswer\s*:', own) else text
  parts = re.split(r'(?i)(?:\bfinal )?\banswer\s*:\s*', text)
  answer = parts[-1].strip(' *_\n').split('\n\n')[0].strip(' *_\n') if len(parts) > 1 else ''
  boxed = re.findall(r'\\boxed\s*\{([^{}]*)\}', text)
  if boxed and (not answer or 'boxed' in answer):
    answer = boxed[-1].strip()
  return answer or None, text


def letter(index: int | None) -> str | None:
  """0 -> 'A'; None stays None."""
  return None if index is None else LETTERS[index]
