"""Where in a file each of very many keys stands, at 16 bytes a key."""

import numpy as np

_RECENT = 4096  # entries that wait in a dictionary until they are sorted in


class OffsetIndex:
  """A mapping from keys of 64 bits to offsets, such as a dictionary would hold at eight times the memory.

  Sorted arrays hold all but the latest entries, which are merged in by thousands.
  """

  def __init__(self) -> None:
    self._keys_N, self._offsets_N = np.empty(0, np.uint64), np.empty(0, np.int64)
    self._recent: dict[int, int] = {}

  def __len__(self) -> int:
    return len(self._keys_N) + len(self._recent)

  def get(self, key: int) -> int | None:
    """The offset under a key, if there is one."""
    found = self._recent.get(key)
    return self._sorted(key)[1] if found is None else found

  def set(self, key: int, offset: int) -> None:
    """Notes a key's offset, in place of an earlier one."""
    place, before = self._sorted(key)
    if before is not None:
      self._offsets_N[place] = offset
      return
    self._recent[key] = offset
    if len(self._recent) >= _RECENT:
      self._merge()

  def _sorted(self, key: int) -> tuple[int, int | None]:
    """(the key's place among the sorted, its offset if it is there)."""
    place = int(np.searchsorted(self._keys_N, np.uint64(key)))
    there = place < len(self._keys_N) and int(self._keys_N[place]) == key
    return place, int(self._offsets_N[place]) if there else None

  def _merge(self) -> None:
    keys_N = np.concatenate([self._keys_N, np.fromiter(self._recent, np.uint64, len(self._recent))])
    offsets_N = np.concatenate([self._offsets_N, np.fromiter(self._recent.values(), np.int64, len(self._recent))])
    order_N = np.argsort(keys_N, kind='stable')
    self._keys_N, self._offsets_N = keys_N[order_N], offsets_N[order_N]
    self._recent.clear()
