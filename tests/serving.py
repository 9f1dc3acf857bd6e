"""A real server on a real (tiny, random) checkpoint, in a process of its own."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def environment():
  return os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': '--xla_backend_optimization_level=0'}


def launch(program, *flags, timeout=300, **options):
  """Runs a program to its end."""
  return subprocess.run([sys.executable, '-m', f'launch.{program}', *flags], cwd=ROOT, env=environment(),
                        capture_output=True, text=True, timeout=timeout, **options)


@contextlib.contextmanager
def running(checkpoint, *flags):
  """(process, base URL) of launch.serve on a free port."""
  process = subprocess.Popen(
      [sys.executable, '-m', 'launch.serve', f'--checkpoint={checkpoint}', '--port=0', '--model_name=tiny', *flags],
      cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  try:
    line = process.stdout.readline()
    assert ' is served at http://127.0.0.1:' in line, line + process.stderr.read()
    yield process, line.split()[-1]
  finally:
    if process.poll() is None:
      process.send_signal(signal.SIGTERM)
      process.wait(30)
    process.stdout.close()
    process.stderr.close()
