"""Is there an option's letter at this place of a text, or only something that looks like one?"""

import re
from collections.abc import Sequence

from smt_jax.eval.prompts import LETTERS

ADVERB = (r'(?:(?:most|almost)\s+)?(?:therefore|thus|clearly|likely|probably|certainly|definitely|indeed|simply|'
          r'obviously|actually|really|in fact|rather|instead)')
_LEAD = re.compile(
    rf'[\s:=>"\'(\[{{<\-–—]{{0,12}}(?:{ADVERB}[,\s]\s*)?'
    r'(?:(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:option|choice|letter|answer)\b[\s:]*)?["\'(\[{<\s]{0,6}',
    re.I)
# "not A but B", inside a sentence: the letter comes behind it.
_NOT_BUT = re.compile(r'\s+not\s+(?:option\s+)?[("\[]?[A-J][)"\]]?,?\s+but\s')
# "A. Lincoln", all of a line: a name with its initial.
_NAME = re.compile(r'\.\s+([A-Z][a-z]+)\s*')
# Words that may follow a bare letter; after "a" they show that it is no article.
_CONNECTIVE = re.compile(
    r'(?:because|since|as|which|based|given|due|so|but|not|is|was|and that|for the reason|according|from|it)\b',
    re.I)
# After a letter and a space: what says that it is not the answer.
_REFUSAL = re.compile(
    r"(?:(?:is|was|are|seems|looks|must be|would be)\s+(?:\w+ly\s+)?(?:not|never|wrong|incorrect|false|out|impossible|"
    r"unlikely|implausible|contradicted|eliminated|excluded|irrelevant)\b"
    r"|(?:is|was|does|do|would|could|ca)n't\b|(?:can|does|do|would|could)\s*not\b|contradict|fails?\b)", re.I)
_SECOND = re.compile(
    r'["\')\]}]{0,4}\s*\(?(?:(?:,|/|&|\+|;)\s*(?:and|or)?|and/or\b|and\b|or\b|\s)\s*'
    r'(?:(?:also|perhaps|maybe|possibly|probably)\s+)?(?:(?:option|choice)\s*)?'
    r'(?P<open>["\'(\[]{0,4})(?P<letter>[A-Ja-j])(?P<rest>["\')\]]{0,4}(?=$|[\s.,;:/&]).{0,16})', re.S)


def index(letter: str, options: Sequence[str]) -> int | str:
  """The option's index; 'ambiguous' where there is no such option."""
  i = LETTERS.find(letter.upper())
  return i if 0 <= i < len(options) else 'ambiguous'


def at(text: str, position: int, options: Sequence[str]) -> int | str | None:
  """Reads a letter at `position`, past spaces, quotes, brackets and "option".

  Returns:
    the option's index; 'ambiguous' for several letters or one that no option has; 'words' where the letter is part of
    an option's own text; None where no letter is meant.
  """
  refused_first = _NOT_BUT.match(text, position)
  position = refused_first.end() if refused_first else position
  lead = _LEAD.match(text, position)
  start = lead.end() if lead else position
  opened = bool(re.search(r'[(\[{"\']\s*$', text[position:start]))
  word = re.match(r'[A-Za-z]+', text[start:])
  if not word:
    return None
  if word.group().lower() in ('both', 'either', 'neither'):
    return 'ambiguous' if re.match(r'\s+(?:option\s+)?[(\[]?[A-J]\b', text[start + len(word.group()):]) else None
  valid = LETTERS[:len(options)]
  if len(word.group()) > 1:
    several = word.group().isupper() and set(word.group()) <= set(valid) and len(set(word.group())) == len(word.group())
    return 'ambiguous' if several else None
  if '\n' in text[position:start] and _is_list(text[start:], valid):
    return None
  return _judge(word.group(), text[start + 1:], opened, options)


def _judge(letter: str, after: str, opened: bool, options: Sequence[str]) -> int | str | None:
  rest = line(after, 0)
  if _own_text(letter, rest, options):
    return index(letter, options)
  if _in_text(letter, rest, options):
    return 'words'
  if after[:1].isspace() and after[0] != '\n':
    return _before_words(letter, after, rest, options)
  unlikely = letter.islower() and not opened and index(letter, options) == 'ambiguous'
  if unlikely or not _ends(letter, after, opened, options):
    return None
  return 'ambiguous' if _second(letter, after, options) else index(letter, options)


def _own_text(letter: str, rest: str, options: Sequence[str]) -> bool:
  """Whether the letter's own option follows: "A. He is a doctor"; in "A dog" and "a Dog", the "a" is an article."""
  i = index(letter, options)
  if not isinstance(i, int) or rest[:1].isalnum():
    return False
  if not rest[:1].isspace():
    return _starts_with(rest, options[i]) or _plain(letter + rest) == _plain(options[i])
  following = rest.lstrip()
  if letter in 'Aa' and following[:1].isalpha():
    as_written = following[0] == options[i].lstrip()[:1]
    noun = following[0].islower() and not re.match(r'(?:the|an?)\s', following)
    if letter == 'a' or noun or not as_written:
      return False
  return _starts_with(following, options[i])


def _in_text(letter: str, rest: str, options: Sequence[str]) -> bool:
  """Whether the letter is the first word of an option: "C major", "A captain of the guard"."""
  compared = words if rest[:1].isspace() else _plain  # "A." is no article
  whole = compared(letter + rest)
  return len(whole) > 1 and any(compared(option) == whole for option in options)


def _ends(letter: str, after: str, opened: bool, options: Sequence[str]) -> bool:
  """Whether a letter by itself ends here, by the mark behind it; not an initial, a genitive or part of a word."""
  mark, beyond = after[:1], after[1:2]
  if mark in ('', '\n', ')', ']', '}', '"', '<', '>', '\\'):
    return True
  if mark == "'":
    return opened or not beyond.isalpha()
  if mark == '.':
    return not beyond.isalnum() and not _initial(letter, after, options)
  if mark == ',':
    return not beyond.isalnum() and letter != 'a'
  if mark in ';:!?':
    return not beyond.isalnum()
  if mark in '-–—':
    return (mark != '-' and not beyond.isdigit()) or beyond.isspace()
  return mark in '/&+' and _second(letter, after, options)


def _initial(letter: str, after: str, options: Sequence[str]) -> bool:
  """Whether a letter and a full stop begin a name, "A. J. Foyt" or "A. Lincoln", that its option does not hold."""
  if re.match(r'\.[ \t]+[A-Z]\.', after):
    return True
  name, i = _NAME.fullmatch(line(after, 0)), index(letter, options)
  return bool(name) and not (isinstance(i, int) and name[1].lower() in words(options[i]))


def _before_words(letter: str, after: str, rest: str, options: Sequence[str]) -> int | str | None:
  """A letter and a space: an answer before "because" or an aside; "a dog" and "I think" are none."""
  if _second(letter, after, options):
    return 'ambiguous'
  following = rest.strip()
  if not following:
    return index(letter, options)
  if refused(following):
    return None
  i = index(letter, options)
  if following[0] in '-–—(["' or _CONNECTIVE.match(following):
    return i
  if letter in 'AaI' or letter.islower() or not isinstance(i, int):
    return None
  return i


def refused(following: str) -> bool:
  """Whether what follows a letter says that it is not the answer."""
  return bool(_REFUSAL.match(following))


def _second(letter: str, after: str, options: Sequence[str]) -> bool:
  """Whether another letter is given as well: "C or D", "A, B", "C/D"; not "C, D is wrong", not "C, a dog"."""
  m = _SECOND.match(after)
  if not m or m['letter'].upper() == letter.upper() or not isinstance(index(m['letter'], options), int):
    return False
  if m['letter'].islower() and letter.isupper() and not m['open']:
    return False
  if re.match(r'["\')\]]*\s+(?:is|was|isn\'t|would|does|cannot|are)\b', m['rest']):
    return False
  joined_by_space = not re.match(r'["\')\]}]*\s*\(?(?:,|/|&|\+|;|and|or)', after)
  if joined_by_space and not re.match(r'["\')\]]*\s*(?:$|[.\n])', m['rest']):
    return False
  return not (m['letter'] in 'Aa' and not m['open'] and re.match(r'\s+[a-z]', m['rest']))


def _is_list(text: str, valid: str) -> bool:
  """Whether the text goes on as a list of options rather than with one of them."""
  heads = re.findall(r'^[ \t]*[(\[]?([A-J])[.):\]]', text, re.M)
  return len({h for h in heads if h in valid}) > 1


def before_option(text: str, options: Sequence[str]) -> bool:
  """Whether the line is a letter and then that option's own text ("B the dog ran")."""
  m = re.match(r'[(\[]?([A-J])[)\].:]*\s+(.+)', text)
  if not m:
    return False
  i = index(m.group(1), options)
  return isinstance(i, int) and _starts_with(m.group(2), options[i])


def line(text: str, position: int) -> str:
  """The rest of the (first non-empty) line at a position."""
  return text[position:].lstrip('\n').split('\n', 1)[0]


def words(text: str) -> str:
  """Lower-case words with single spaces, without punctuation and leading articles: for comparing texts."""
  return re.sub(r'^(?:the|an?) (?=.)', '', _plain(text))


def _plain(text: str) -> str:
  return ' '.join(re.findall(r"[^\W_]+(?:[.,'][^\W_]+)*", text.lower().replace('’', "'")))


def _starts_with(text: str, option: str) -> bool:
  said, own = words(text), words(option)
  return bool(said and own) and (f'{said} '.startswith(f'{own} ') or (len(said) > 10 and own.startswith(said)))
