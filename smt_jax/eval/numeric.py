"""Deterministic comparison of a figure with the gold figure: sign, scale, percent against ratio, rounding.

Rules, stated so that a verdict can be checked by hand:
  * Equal means within half a unit of the gold's last printed digit, or within 0.5% of the gold, whichever is more.
  * A scale word multiplies ("$1.577 billion"); a bare figure is read in the unit that the question asks for ("in USD
    millions") or as plain units. A wrong scale is a wrong answer.
  * A percentage equals the ratio (65.4% and 0.654) and, where the other side has no percent sign, the bare number
    (65.4); basis points are hundredths of a percent.
  * The sign counts; "(123)" and "decreased by 123" are negative, a loss or decline stated in words too.
  * An answer that names years, but none of those in the question, is left to the judge: it may be another year's.
  * Years, dates, form names and enumerations are no figures. Where several figures are left, the one after the last
    "=" or the only one decides; otherwise nothing is decided here.
"""

import dataclasses
import re

RELATIVE_TOLERANCE = 0.005

_SCALES = {'cent': 1e-2, 'cents': 1e-2, 'thousand': 1e3, 'thousands': 1e3, 'k': 1e3, 'million': 1e6, 'millions': 1e6,
           'mn': 1e6, 'mm': 1e6, 'm': 1e6, 'billion': 1e9, 'billions': 1e9, 'bn': 1e9, 'b': 1e9, 'trillion': 1e12,
           'trillions': 1e12, 'tn': 1e12}
_WORD = r'cents?|thousands?|millions?|billions?|trillions?|mn|mm|bn|tn'
_FIGURE = re.compile(
    rf'(?<![\w.])(?P<paren>\((?=[\s$€£]*[\d.]+[\d,.]*\s*(?:%|{_WORD}|[kmb])?\s*\)))?\s*(?P<minus>[-–−]\s*)?'
    r'(?P<currency>(?:US|USD|EUR|GBP)?\s?[$€£]|USD|EUR|GBP)?\s*(?P<minus2>[-–−])?\s*'
    r'(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?(paren)\s*\)?)'
    r'(?:\s*(?P<percent>%|percent(?:age points?)?\b|per cent\b|pp\b)|\s*(?P<bps>bps?\b|basis points?\b)'
    rf'|(?:[\s-]*(?P<scale>{_WORD})|(?P<unit>[kmb]))\b|x\b)?(?![\w]|[,.]\d)', re.I)
_NEGATIVE = re.compile(
    r'\b(?:decreas\w*|declin\w*|drop\w*|fell|fall\w*|negative|minus|loss|lost|down|reduc\w*|shrunk|shrank|lower)\b',
    re.I)
_UNIT_ASKED = re.compile(
    r'\b(?:in|units? of)\s+(?:the\s+)?(?:usd|us\s?\$|u\.s\. dollars?|us dollars?|dollars?|\$|eur|gbp)?\s*'
    r'(thousands|millions|billions|trillions)\b', re.I)
_YEAR = re.compile(
    rf'(?<![\w.,$-])(?:FY\s?)?(?P<year>(?:19|20)\d\d)(?!\w|[.,]\d|\s*(?:{_WORD}|%|percent))'
    r"|\bFY\s?'?(?P<short>\d\d)\b", re.I)
_PERCENT_ASKED = re.compile(r'\bas a %|\bpercent|% (?:of|margin|change)|\bin %', re.I)


@dataclasses.dataclass(frozen=True)
class Figure:
  """A number as written: `value` with sign and scale; `digits` behind the point; whether it stood with a sign."""
  value: float
  step: float  # unit of the last printed digit, scaled alike
  percent: bool
  scaled: bool  # a scale word stood with it
  plain: float  # without the scale word
  end: int


def figures(text: str) -> list[Figure]:
  """The figures of a text in order; years, form names and enumerations left out."""
  text = re.sub(r'\\(?:text|mathrm)\s*\{([^{}]*)\}', r'\1', text).replace('\\%', '%').replace('\\$', '$')
  found = []
  for m in _FIGURE.finditer(text):
    scale = m['scale'] or m['unit']
    bare = not (m['currency'] or m['percent'] or m['bps'] or m['scale'] or m['paren'])
    if bare and _is_name(text, m):
      continue
    digits = m['number'].replace(',', '')
    value = float(digits)
    decimals = len(digits.split('.')[1]) if '.' in digits else 0
    negative = bool(m['minus'] or m['minus2'] or m['paren'])
    if m['minus'] and re.search(r'\d\s*$', text[:m.start('minus')]):
      negative = bool(m['minus2'])  # "5 - 3", "2019-2021": no sign
    factor = _SCALES[scale.lower()] if scale else 0.01 if m['bps'] else 1.0
    signed = -value if negative else value
    found.append(Figure(signed * factor, 10.0**-decimals * factor, bool(m['percent'] or m['bps']), bool(scale),
                        signed, m.end()))
  return found


def _is_name(text: str, m: re.Match[str]) -> bool:
  """Whether a bare number is a year, a date, a quarter, a form ("10-K") or a list's numeral."""
  number, before, after = m['number'], text[:m.start('number')], text[m.end():]
  if re.fullmatch(r'(?:19|20)\d\d', number) and not m['unit']:
    return True
  if m.group().strip() in ('3M', '3m') or re.search(r'[A-Za-z]-$', text[:m.start('number')]):
    return True  # a company; COVID-19
  if re.search(r'\b(?:FY|Q|quarter|fiscal|form|note|item|page|step|part|year)\s*$', before, re.I):
    return True
  if re.match(r'-(?:K|Q)\b|(?:st|nd|rd|th)\b|\s*(?:months?|weeks?|quarters?|-?year)\b', after, re.I):
    return True
  if re.search(r'\b(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?\s*$', before):
    return True
  return bool(re.search(r'(?:^|\n)\s*$', before) and re.match(r'[.)]\s', after))


def gold_figure(gold: str) -> Figure | None:
  """The gold answer's figure where the answer is that figure and little else; None for prose."""
  found = figures(gold)
  if len(found) != 1:
    return None
  rest = re.sub(r'[^A-Za-z ]', ' ', _FIGURE.sub(' ', gold)).split()
  return found[0] if len(rest) <= 3 else None


def compare(gold: str, answer: str, question: str = '') -> bool | None:
  """Whether the answer states the gold figure; None where the rules cannot tell (prose, several figures)."""
  wanted = gold_figure(gold)
  if wanted is None:
    return None
  given = figures(answer)
  if not given or _other_year(question, answer):
    return None
  if len(given) > 1:
    after_equals = [f for f in given if re.search(r'[=≈]\s*[-(]?\s*[$€£]?\s*[\d.,]+\s*\S*$', answer[:f.end])]
    same = [f for f in given if _equal(wanted, f, answer, question)]
    if after_equals:
      given = after_equals[-1:]
    elif not same:
      return False if all(f.percent == wanted.percent for f in given) else None
    elif {round(f.value, 9) for f in given} != {round(same[0].value, 9)}:
      return None
  return _equal(wanted, given[-1], answer, question)


def named_years(text: str) -> set[int]:
  """The calendar and fiscal years that a text names: 2018 for "2018", "FY2018" and "FY18"."""
  return {int(m['year'] or f'20{m["short"]}') for m in _YEAR.finditer(text)}


def _other_year(question: str, answer: str) -> bool:
  asked, said = named_years(question), named_years(answer)
  return bool(asked and said and not asked & said)


def _equal(gold: Figure, given: Figure, answer: str, question: str) -> bool:
  sign = -1.0 if gold.value < 0 < given.value and _NEGATIVE.search(answer) else 1.0
  for gold_value, gold_step in _gold_readings(gold, question):
    tolerance = max(gold_step / 2, RELATIVE_TOLERANCE * abs(gold_value)) * (1 + 1e-9)
    if any(abs(sign * value - gold_value) <= tolerance for value in _given_readings(gold, given, question)):
      return True
  return False


def _unit(question: str) -> float:
  asked = _UNIT_ASKED.search(question)
  return _SCALES[asked.group(1).lower()] if asked else 1.0


def _gold_readings(gold: Figure, question: str) -> list[tuple[float, float]]:
  if gold.percent:
    return [(gold.value / 100, gold.step / 100)]
  unit = 1.0 if gold.scaled else _unit(question)
  return [(gold.value * unit, gold.step * unit)]


def _given_readings(gold: Figure, given: Figure, question: str) -> list[float]:
  if given.percent:
    readings = [given.value / 100]
    if not gold.percent and _PERCENT_ASKED.search(question):
      readings.append(given.value)  # the gold's percent sign was left out
    return readings
  if given.scaled:
    return [given.value]
  if gold.percent:
    return [given.value, given.value / 100]
  return [given.value, given.value * _unit(question)]
