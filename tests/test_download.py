"""launch/download.sh against local stand-ins: a folder laid out like GitHub's raw files, and a server that speaks the
hub's protocol to Hugging Face's own client."""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUALITY = '0ced8de294260496bee55121e6125abdd632f92f'


def download(*flags, **environment):
  env = {k: v for k, v in os.environ.items() if k not in ('HF_TOKEN', 'HF_HUB_OFFLINE')} | environment
  return subprocess.run(['bash', ROOT / 'launch/download.sh', *flags], capture_output=True, text=True, env=env,
                        timeout=120)


def sha256(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def github(tmp_path):
  """Files as GitHub serves them: REPOSITORY/REVISION/PATH."""
  files = {
      f'nyu-mll/quality/{QUALITY}/data/v1.0.1/QuALITY.v1.0.1.zip': b'zip' * 1000,
      'kbressem/LongHealth/main/data/benchmark_v5.json': b'{}',
      'patronus-ai/financebench/main/data/financebench_open_source.jsonl':
          b'{"doc_name": "C_2020_10K", "evidence": [{"doc_name": "C_2020_10K"}]}\n',
      'patronus-ai/financebench/main/data/financebench_document_information.jsonl':
          b'{"doc_name": "A_2022_10K", "x": 1}\n{"doc_name": "B_2023"}\n{"doc_name": "A_2022_10K"}\n',
      'patronus-ai/financebench/main/pdfs/A_2022_10K.pdf': b'%PDF a',
      'patronus-ai/financebench/main/pdfs/B_2023.pdf': b'%PDF b',
      'patronus-ai/financebench/main/pdfs/C_2020_10K.pdf': b'%PDF c'}  # asked about, described nowhere
  for name, content in files.items():
    path = tmp_path / 'github' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  return tmp_path / 'github'


def test_benchmarks_with_checksums(tmp_path, github):
  out = tmp_path / 'out'
  flags = ['--benchmarks=quality,longhealth,financebench', f'--out={out}', f'--github=file://{github}']
  done = download(*flags)
  assert done.returncode == 0, done.stderr
  names = ['quality/QuALITY.v1.0.1.zip', 'longhealth/benchmark_v5.json', 'financebench/financebench_open_source.jsonl',
           'financebench/financebench_document_information.jsonl', 'financebench/pdfs/A_2022_10K.pdf',
           'financebench/pdfs/B_2023.pdf', 'financebench/pdfs/C_2020_10K.pdf']
  lines = (out / 'checksums.sha256').read_text().splitlines()
  assert sorted(lines) == sorted(f'{sha256(out / "benchmarks" / n)}  benchmarks/{n}' for n in names)
  assert 'warning: patronus-ai/financebench has no data/' in done.stderr and 'quality has no' not in done.stderr
  assert subprocess.run(['sha256sum', '-c', 'checksums.sha256'], cwd=out, capture_output=True).returncode == 0
  assert not list(out.rglob('*.part'))
  before = {p: p.stat().st_mtime_ns for p in out.rglob('*') if p.is_file()}
  assert download(*flags).returncode == 0
  assert before == {p: p.stat().st_mtime_ns for p in out.rglob('*') if p.is_file()}  # nothing fetched, nothing written


def test_a_file_that_changed_is_refused(tmp_path, github):
  out = tmp_path / 'out'
  flags = ['--benchmarks=longhealth', f'--out={out}', f'--github=file://{github}']
  assert download(*flags).returncode == 0
  (out / 'benchmarks/longhealth/benchmark_v5.json').write_text('{"other": 1}')
  done = download(*flags)
  assert done.returncode == 1 and 'benchmark_v5.json: its sha256 is' in done.stderr and done.stderr.count('\n') == 1


def test_an_interrupted_download_is_resumed(tmp_path, github):
  part = tmp_path / 'out/benchmarks/quality/QuALITY.v1.0.1.zip.part'
  part.parent.mkdir(parents=True)
  part.write_bytes(b'ZIP')  # a beginning that only resuming keeps
  done = download('--benchmarks=quality', f'--out={tmp_path}/out', f'--github=file://{github}')
  assert done.returncode == 0, done.stderr
  assert part.with_suffix('').read_bytes() == b'ZIP' + b'zip' * 999


def test_a_missing_file_leaves_nothing(tmp_path, github):
  (github / 'kbressem/LongHealth/main/data/benchmark_v5.json').unlink()
  done = download('--benchmarks=longhealth', f'--out={tmp_path}/out', f'--github=file://{github}')
  assert done.returncode == 1 and 'error: ' in done.stderr and 'cannot be downloaded' in done.stderr
  assert not [p for p in (tmp_path / 'out').rglob('*') if p.is_file()]


def test_dry_run_prints_commands_only(tmp_path):
  done = download('--models=llama-3.1-8b-instruct,qwen3-0.6b', '--benchmarks=quality', f'--out={tmp_path}/new',
                  '--dry_run')
  assert done.returncode == 0 and not (tmp_path / 'new').exists()
  assert 'download meta-llama/Llama-3.1-8B-Instruct --revision 0e9e39f249a1' in done.stdout
  assert f'https://raw.githubusercontent.com/nyu-mll/quality/{QUALITY}/data/v1.0.1/QuALITY.v1.0.1.zip' in done.stdout
  assert 'licence: Apache-2.0' in done.stdout


@pytest.mark.parametrize(('flags', 'code', 'message'), [
    ([], 2, '--out: expected'), (['--out=x'], 2, 'expected --models= or --benchmarks='),
    (['--out=x', '--models=gpt-9'], 2, 'no model "gpt-9"'),
    (['--out=x', '--benchmarks=mmlu'], 2, 'no benchmark "mmlu"'),
    (['--nonsense'], 2, 'unknown flag --nonsense'),
    (['--out=/proc/none', '--models=qwen3-0.6b'], 1, '--out=/proc/none: cannot make'),
])
def test_mistakes_are_one_line(flags, code, message):
  done = download(*flags)
  assert done.returncode == code and message in done.stderr and done.stderr.count('\n') == 1


def test_gated_models_need_a_token(tmp_path):
  done = download('--models=llama-3.1-8b', f'--out={tmp_path}', HF_HOME=str(tmp_path / 'none'))
  assert done.returncode == 1 and done.stderr.startswith('error: HF_TOKEN: meta-llama/Llama-3.1-8B is gated')


def test_help_and_list():
  assert 'HF_TOKEN' in download('--help').stdout and 'Apache-2.0' in download('--list').stdout


REVISION = 'c1899de289a04d12100db370d81485cdf75e47ca'
FILES = {'config.json': b'{"model_type": "qwen3"}', 'model.safetensors': b'weights' * 100, 'pytorch_model.bin': b'no',
         'original/consolidated.00.pth': b'no'}
TOKENS = []  # what clients sent


class Hub(http.server.BaseHTTPRequestHandler):
  """As much of the hub as its client needs to download a model."""

  def do_HEAD(self):
    self.do_GET()

  def do_GET(self):
    TOKENS.append(self.headers.get('Authorization'))
    path = self.path.split('?')[0]
    if path.startswith('/api/models/Qwen/Qwen3-0.6B'):
      listing = [{'rfilename': n, 'type': 'file', 'path': n, 'size': len(c), 'oid': hashlib.sha1(c).hexdigest()}
                 for n, c in FILES.items()]
      content = listing if '/tree/' in path else {'id': 'Qwen/Qwen3-0.6B', 'sha': REVISION, 'siblings': listing}
      self.reply(json.dumps(content).encode(), 'application/json')
    elif (name := path.removeprefix(f'/Qwen/Qwen3-0.6B/resolve/{REVISION}/')) in FILES:
      self.reply(FILES[name], 'application/octet-stream', {
          'ETag': f'"{hashlib.sha1(FILES[name]).hexdigest()}"', 'X-Repo-Commit': REVISION})
    else:
      self.send_error(404)

  def reply(self, content, kind, headers=None):
    self.send_response(200)
    for name, value in {'Content-Type': kind, 'Content-Length': str(len(content)), **(headers or {})}.items():
      self.send_header(name, value)
    self.end_headers()
    if self.command == 'GET':
      self.wfile.write(content)

  def log_message(self, *_):
    pass


def test_models_through_the_hubs_own_client(tmp_path):
  if not (ROOT / '.venv/bin/hf').exists():
    pytest.skip('no .venv with huggingface_hub in the checkout')
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  try:
    done = download('--models=qwen3-0.6b', f'--out={tmp_path}/out', HF_HOME=str(tmp_path / 'home'),
                    HF_TOKEN='hf_secret', HF_ENDPOINT=f'http://127.0.0.1:{server.server_port}',
                    HF_HUB_DISABLE_XET='1')
  finally:
    server.shutdown()
  assert done.returncode == 0, done.stderr
  model = tmp_path / 'out/models/qwen3-0.6b'
  assert (model / 'model.safetensors').read_bytes() == FILES['model.safetensors']
  assert not (model / 'original').exists() and not (model / 'pytorch_model.bin').exists()
  lines = (tmp_path / 'out/checksums.sha256').read_text().splitlines()
  assert lines == [f'{sha256(model / n)}  models/qwen3-0.6b/{n}' for n in ('config.json', 'model.safetensors')]
  assert 'Bearer hf_secret' in TOKENS
  assert 'hf_secret' not in done.stdout + done.stderr + ''.join(lines)
