"""Deterministic comparison of a figure with the gold figure: sign, scale, percent against ratio, rounding.

Rules, stated so that a verdict can be checked by hand:
  * Equal means within half a unit of the gold's last printed digit, or within 0.5% of the gold, whichever is more.
  * A scale word multiplies ("$1.577 billion"); a bare figure is read in the unit that the question asks for ("in USD
    millions") or as plain units. A wrong scale is a wrong answer.
  * A percentage equals the ratio (65.4% and 0.654) and, where the other side has no percent sign, the bare number
    (65.4); basis points are hundredths of a percent.
  * The sign counts; "(123)" is negative. In words it is what stands with the figure: "decreased by 123", "a loss of
    123" and "a 123 decline" are negative, "rose 123" is positive, "fell to 123" is a level. A word elsewhere in the
    clause may agree with the gold; where it contradicts, is negated or stands beside its opposite, nothing is decided.
    A question that asks for the decrease, loss or expense may have its size as gold: words of loss agree with it.
  * Where both sides name a unit ($, EUR, %, days), another one than the gold's is left to the judge. So is a figure
    that only rounds to a gold of zero.
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
_MINUS_WORD = (r'decreas\w*|declin\w*|drop\w*|fell|fall\w*|negative|minus|loss(?:es)?|lost|down|reduc\w*|shr[aiu]nk\w*|'
               r'lower\w*')
_PLUS_WORD = r'increas\w*|rose|ris(?:e|es|en|ing)|gr[eo]w\w*|gain\w*|up|higher|improv\w*|positive|profit'
_NEGATIVE = re.compile(rf'\b(?:{_MINUS_WORD})\b', re.I)
_POSITIVE = re.compile(rf'\b(?:{_PLUS_WORD})\b', re.I)
_NEGATED = re.compile(
    r"\b(?:not|never|no|without|neither|nor)\b|n't\b|\bnegative\s+(?:\w+\s+)?(?:growth|gain|profit)", re.I)
_FILLER = (r'by|of|about|around|approximately|nearly|almost|roughly|some|only|just|an?|the|total|net|was|were|is|'
           r'equal to|\w+ly')
_BEFORE = re.compile(
    rf'\b(?:(?P<minus>{_MINUS_WORD})|(?P<plus>{_PLUS_WORD})|(?P<level>to|from))[\s:,]*(?:\b(?:{_FILLER})\s+)*[(~≈\s]*$',
    re.I)
_BEHIND = re.compile(
    r'[\s-]*(?:(?:net|annual|overall|yoy|year[- ]over[- ]year)\s+)?'
    rf'(?:(?P<minus>{_MINUS_WORD})|(?P<plus>{_PLUS_WORD}))\b',
    re.I)
_CLAUSE = re.compile(  # between clauses; a comma inside a number is none
    r'[;\n=≈]|[.!?](?=\s|$)|,(?=\s+(?!by\b))|\((?=\s*[a-z])'
    r'|\b(?:but|while|whereas|although|though|however|and|which|despite)\b', re.I)
_LOSS_ASKED = re.compile(
    r'\b(?:decreas\w*|declin\w*|drop\w*|fell|fall\w*|loss(?:es)?|lose|reduc\w*|shr[aiu]nk\w*|lower\w*|expens\w*|costs?|'
    r'charges?|impairments?|outflows?|write-?(?:down|off)s?)\b', re.I)
_EITHER_WAY = re.compile(rf'\b(?:{_PLUS_WORD}|chang\w*|differ\w*)\b', re.I)  # asks for no size of a loss
_UNIT_NAMED = re.compile(
    r'\s*(?:u\.?s\.?\s+)?(?P<unit>usd|dollar|eur|euro|gbp|pound|second|minute|hour|day|week|month|year|share|employee|'
    r'store)s?\b', re.I)
_UNIT_NAMES = {'usd': '$', 'us$': '$', 'dollar': '$', 'eur': '€', 'euro': '€', 'gbp': '£', 'pound': '£'}
_UNIT_ASKED = re.compile(
    r'\b(?:in|units? of)\s+(?:the\s+)?(?:usd|us\s?\$|u\.s\. dollars?|us dollars?|dollars?|\$|eur|gbp)?\s*'
    r'(thousands|millions|billions|trillions)\b', re.I)
_YEAR = re.compile(
    rf'(?<![\w.,$-])(?:FY\s?)?(?P<year>(?:19|20)\d\d)(?!\w|[.,]\d|\s*(?:{_WORD}|%|percent))'
    r"|\bFY\s?'?(?P<short>\d\d)\b", re.I)
_PERCENT_ASKED = re.compile(r'\bas a %|\bpercent|% (?:of|margin|change)|\bin %', re.I)


@dataclasses.dataclass(frozen=True)
class Figure:
  """A number as written: `value` with the sign of its marks and its scale; what its clause says of sign and unit."""
  value: float
  step: float  # unit of the last printed digit, scaled alike
  percent: bool
  scaled: bool  # a scale word stood with it
  plain: float  # without the scale word
  end: int
  said: str  # 'minus' or 'plus' next to it, 'perhaps minus' elsewhere in its clause, 'unclear', or ''
  unit: str  # '$', '€', '£', '%', 'day', ...; '' where none is named


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
                        signed, m.end(), _said(text, m), _unit_named(text, m)))
  return found


def _said(text: str, m: re.Match[str]) -> str:
  """What the words of a figure's clause say of its sign (`Figure.said`)."""
  before, after = _CLAUSE.split(text[:m.start()])[-1], _CLAUSE.split(text[m.end():])[0]
  near = _BEFORE.search(before)
  if near and near['level']:
    return ''
  near = near or _BEHIND.match(after)
  clause = f'{before} {after}'
  minus, plus = _NEGATIVE.search(clause), _POSITIVE.search(clause)
  if (near or minus) and _NEGATED.search(before):
    return 'unclear'
  if near:
    return 'minus' if near['minus'] else 'plus'
  return '' if not minus else 'unclear' if plus else 'perhaps minus'


def _unit_named(text: str, m: re.Match[str]) -> str:
  if m['percent'] or m['bps']:
    return '%'
  if m['currency']:
    name = m['currency'].replace(' ', '').lower()
    return _UNIT_NAMES.get(name, name[-1])
  behind = _UNIT_NAMED.match(text, m.end())
  return _UNIT_NAMES.get(behind['unit'].lower(), behind['unit'].lower()) if behind else ''


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
    same = [f for f in given if _verdict(wanted, f, answer, question) is not False]
    if after_equals:
      given = after_equals[-1:]
    elif not same:
      return False if all(f.percent == wanted.percent for f in given) else None
    elif {round(f.value, 9) for f in given} != {round(same[0].value, 9)}:
      return None
  verdicts = {_verdict(wanted, f, answer, question) for f in given}
  return verdicts.pop() if len(verdicts) == 1 else None


def named_years(text: str) -> set[int]:
  """The calendar and fiscal years that a text names: 2018 for "2018", "FY2018" and "FY18"."""
  return {int(m['year'] or f'20{m["short"]}') for m in _YEAR.finditer(text)}


def _other_year(question: str, answer: str) -> bool:
  asked, said = named_years(question), named_years(answer)
  return bool(asked and said and not asked & said)


def _verdict(gold: Figure, given: Figure, answer: str, question: str) -> bool | None:
  """Whether one figure is the gold one: in size, then in unit, then in sign."""
  if not _same_size(gold, given, question):
    return False
  if gold.unit and given.unit and gold.unit != given.unit:
    return None
  if not gold.value:
    return None if given.value else True
  return _same_sign(gold, given, answer, question)


def _same_size(gold: Figure, given: Figure, question: str) -> bool:
  for gold_value, gold_step in _gold_readings(gold, question):
    tolerance = max(gold_step / 2, RELATIVE_TOLERANCE * abs(gold_value)) * (1 + 1e-9)
    if any(abs(abs(value) - abs(gold_value)) <= tolerance for value in _given_readings(gold, given, question)):
      return True
  return False


def _same_sign(gold: Figure, given: Figure, answer: str, question: str) -> bool | None:
  negative = gold.value < 0 or gold.said in ('minus', 'perhaps minus')
  loss_asked = _LOSS_ASKED.search(question) and not _EITHER_WAY.search(question)
  if given.value < 0:
    return negative
  if given.said == 'unclear':
    return None
  if given.said == 'plus':
    return None if loss_asked and not negative else not negative
  if given.said:
    return True if negative or loss_asked else False if given.said == 'minus' else None
  if not negative:
    return True
  return None if gold.value > 0 or loss_asked or _NEGATIVE.search(answer) else False


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
