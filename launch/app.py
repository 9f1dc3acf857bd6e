"""What every program shares: absl start-up, a mistake as one line instead of a traceback, the upload at the end."""

import contextlib
import sys
from collections.abc import Callable

from absl import app, flags, logging

from data_gen.errors import UserError
from launch import paths


def run(main: Callable[[], object]) -> None:
  """Parses flags and calls `main`. A UserError is printed as one line, exit code 1; a wrong flag likewise, code 2."""

  def wrapped(argv: list[str]) -> None:
    if len(argv) > 1:
      print(f'error: unexpected argument {argv[1]!r}; flags are written --name=value', file=sys.stderr)
      sys.exit(2)
    logging.use_absl_handler()
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)  # libraries announce every file they open
    try:
      with contextlib.ExitStack() as ending:
        ending.callback(paths.finish)
        main()
    except UserError as e:
      print(f'error: {e}', file=sys.stderr)
      sys.exit(1)
    except KeyboardInterrupt:
      print('error: interrupted', file=sys.stderr)
      sys.exit(130)

  def parse(argv: list[str]) -> list[str]:
    try:
      return flags.FLAGS(argv)
    except flags.Error as e:
      print('error: ' + ' '.join(str(e).split()), file=sys.stderr)
      sys.exit(2)

  app.run(wrapped, flags_parser=_with_help(parse))


def _with_help(parse: Callable[[list[str]], list[str]]) -> Callable[[list[str]], list[str]]:
  def parser(argv: list[str]) -> list[str]:
    app.define_help_flags()
    rest = parse(argv)
    return rest
  return parser
