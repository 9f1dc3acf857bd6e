#!/usr/bin/env bash
# Downloads models and benchmarks at pinned revisions, resumes what was interrupted, and records every file's checksum.
#
#   bash launch/download.sh --models=qwen3-0.6b,qwen3-8b --benchmarks=quality,longhealth,financebench --out=DIR
#   bash launch/download.sh --list                what there is, with licences
#   bash launch/download.sh ... --dry_run         prints the commands and runs none
#
# Models go to DIR/models/NAME (a checkpoint argument), benchmarks to DIR/benchmarks/NAME (--source of launch.prepare).
# DIR/checksums.sha256 holds what was found on first use (`cd DIR && sha256sum -c checksums.sha256`); a file that comes
# out different later is refused. What lies there with its recorded checksum is not fetched again.
#
# Licences: nothing here is redistributed; you accept each owner's terms by downloading. Llama models are gated: accept
# Meta's licence on the model's page at huggingface.co, make a read token (Settings, Access Tokens) and run this with
# HF_TOKEN=... in the environment, or after `hf auth login`. The token is read by Hugging Face's own client alone.
#
# Mirrors: HF_ENDPOINT for Hugging Face, --github=URL for raw.githubusercontent.com.
set -euo pipefail
HERE="$(cd "$(dirname "$0")/.." && pwd)"

MODELS=(  # name, repository, revision, licence
  "llama-3.1-8b meta-llama/Llama-3.1-8B d04e592bb4f6aa9cfee91e2e20afa771667e1d4b Llama-3.1-Community(gated)"
  "llama-3.1-8b-instruct meta-llama/Llama-3.1-8B-Instruct 0e9e39f249a16976918f6564b8830bc894c89659 Llama-3.1-Community(gated)"
  "qwen3-0.6b Qwen/Qwen3-0.6B c1899de289a04d12100db370d81485cdf75e47ca Apache-2.0"
  "qwen3-1.7b Qwen/Qwen3-1.7B 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e Apache-2.0"
  "qwen3-4b Qwen/Qwen3-4B 1cfa9a7208912126459214e8b04321603b3df60c Apache-2.0"
  "qwen3-8b Qwen/Qwen3-8B b968826d9c46dd6066d109eabc6255188de91218 Apache-2.0"
  "qwen3-14b Qwen/Qwen3-14B 40c069824f4251a91eefaf281ebe4c544efd3e18 Apache-2.0"
  "qwen3-embedding-0.6b Qwen/Qwen3-Embedding-0.6B 97b0c614be4d77ee51c0cef4e5f07c00f9eb65b3 Apache-2.0"
  "qwen3-embedding-8b Qwen/Qwen3-Embedding-8B 1d8ad4ca9b3dd8059ad90a75d4983776a23d44af Apache-2.0"
  "qwen3-reranker-0.6b Qwen/Qwen3-Reranker-0.6B e61197ed45024b0ed8a2d74b80b4d909f1255473 Apache-2.0"
  "qwen3-reranker-8b Qwen/Qwen3-Reranker-8B 77d193c791ed757ca307ee72715aa132723da912 Apache-2.0"
)
BENCHMARKS=(  # name, repository, revision, licence; a branch where no revision is known to be kept
  "quality nyu-mll/quality 0ced8de294260496bee55121e6125abdd632f92f CC-BY-4.0,articles-under-their-own"
  "longhealth kbressem/LongHealth main see-its-repository;carries-a-canary:never-publish-it"
  "financebench patronus-ai/financebench 6e138b2f29670bc416456cd16258f9a48b93b76e CC-BY-NC-4.0"
)

fail() { echo "error: $1" >&2; exit "${2:-1}"; }

run() {  # the command, or what it would be
  if [ -n "$DRY_RUN" ]; then printf '%q ' "$@"; echo; else "$@"; fi
}

entry() {  # entry NAME TABLE...: the table's line of that name
  local name="$1" line
  shift
  for line in "$@"; do [ "${line%% *}" = "$name" ] && { echo "$line"; return 0; }; done
  return 1
}

list() {
  local name repository revision licence
  for line in "${MODELS[@]}" "${BENCHMARKS[@]}"; do
    read -r name repository revision licence <<< "$line"
    printf '%-22s %-34s %.12s  %s\n' "$name" "$repository" "$revision" "$licence"
  done
}

sha256() { if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

recorded() { [ -f "$OUT/checksums.sha256" ] && awk -v p="$1" 'substr($0, 67) == p { print $1 }' "$OUT/checksums.sha256"; }

record() {  # record PATH (relative to OUT): notes its checksum, or compares with the one noted before
  [ -z "$DRY_RUN" ] || return 0
  local found known
  found=$(sha256 "$OUT/$1")
  known=$(recorded "$1" || true)
  [ -n "$known" ] || { echo "$found  $1" >> "$OUT/checksums.sha256"; return 0; }
  [ "$known" = "$found" ] || fail "$OUT/$1: its sha256 is $found, but $OUT/checksums.sha256 holds $known; remove the file to fetch it again, or its line to accept it"
}

fetch() {  # fetch URL PATH: resumes; leaves nothing under the final name until it is whole
  local url="$1" target="$OUT/$2"
  if [ -f "$target" ] && [ -z "$DRY_RUN" ]; then record "$2"; return 0; fi
  [ -n "$DRY_RUN" ] || mkdir -p "$(dirname "$target")"
  run curl --fail --location --silent --show-error --retry 5 --continue-at - --output "$target.part" "$url" || return 1
  run mv "$target.part" "$target"
  record "$2"
  [ -n "$DRY_RUN" ] || echo "$2"
}

github() {  # github REPOSITORY REVISION FILE PATH: the pinned revision; the main branch, said so, where it lacks the file
  fetch "$GITHUB/$1/$2/$3" "$4" && return 0
  [ "$2" != main ] || fail "$GITHUB/$1/$2/$3: cannot be downloaded"
  echo "warning: $1 has no $3 at revision $2; trying its main branch" >&2
  rm -f "$OUT/$4.part"
  fetch "$GITHUB/$1/main/$3" "$4" || fail "$GITHUB/$1/main/$3: cannot be downloaded"
}

benchmark() {  # benchmark NAME REPOSITORY REVISION
  local to="benchmarks/$1" name
  case "$1" in
    quality) github "$2" "$3" data/v1.0.1/QuALITY.v1.0.1.zip "$to/QuALITY.v1.0.1.zip" ;;
    longhealth) github "$2" "$3" data/benchmark_v5.json "$to/benchmark_v5.json" ;;
    financebench)
      for name in financebench_open_source.jsonl financebench_document_information.jsonl; do
        github "$2" "$3" "data/$name" "$to/$name"
      done
      if [ -n "$DRY_RUN" ]; then echo "# and every filing that these two files name"; return; fi
      grep -oh '"doc_name": *"[^"]*"' "$OUT/$to"/*.jsonl | sed 's/.*"\([^"]*\)"$/\1/' | sort -u |
        while read -r name; do github "$2" "$3" "pdfs/$name.pdf" "$to/pdfs/$name.pdf"; done ;;
  esac
}

model() {  # model NAME REPOSITORY REVISION LICENCE
  local to="models/$1" path
  if [[ "$4" == *gated* ]] && [ -z "$DRY_RUN" ] && [ -z "${HF_TOKEN:-}" ] && ! [ -s "${HF_HOME:-$HOME/.cache/huggingface}/token" ]; then
    fail "HF_TOKEN: $2 is gated; accept its licence at https://huggingface.co/$2, then set HF_TOKEN or run hf auth login"
  fi
  run "$HF" download "$2" --revision "$3" --local-dir "$OUT/$to" --exclude 'original/*' --exclude '*.pth' --exclude '*.bin' ||
    fail "$2: hf download failed; run the same command again to resume"
  [ -z "$DRY_RUN" ] || return 0
  (cd "$OUT" && find "$to" -type f -not -path '*/.cache/*' | sort) | while read -r path; do record "$path"; done
}

OUT="" DRY_RUN="" WANTED_MODELS="" WANTED_BENCHMARKS="" GITHUB=https://raw.githubusercontent.com
for word in "$@"; do
  case "$word" in
    --out=?*) OUT="${word#*=}" ;;
    --models=*) WANTED_MODELS="${word#*=}" ;;
    --benchmarks=*) WANTED_BENCHMARKS="${word#*=}" ;;
    --github=?*) GITHUB="${word#*=}" ;;
    --dry_run) DRY_RUN=yes ;;
    --list) list; exit 0 ;;
    --help|-h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) fail "unknown flag $word; expected --models= --benchmarks= --out= --github= --dry_run --list --help" 2 ;;
  esac
done
[ -n "$OUT" ] || fail "--out: expected a folder to download into" 2
[ -n "$WANTED_MODELS$WANTED_BENCHMARKS" ] || fail "expected --models= or --benchmarks= with names; --list shows them" 2
for name in ${WANTED_MODELS//,/ }; do
  entry "$name" "${MODELS[@]}" > /dev/null || fail "--models: no model \"$name\"; --list shows what there is" 2
done
for name in ${WANTED_BENCHMARKS//,/ }; do
  entry "$name" "${BENCHMARKS[@]}" > /dev/null || fail "--benchmarks: no benchmark \"$name\"; --list shows what there is" 2
done

if [ -z "$DRY_RUN" ]; then
  mkdir -p "$OUT" 2> /dev/null || fail "--out=$OUT: cannot make this folder"
  OUT="$(cd "$OUT" && pwd)"
fi
HF="$HERE/.venv/bin/hf"
if [ -n "$WANTED_MODELS" ] && [ -z "$DRY_RUN" ] && ! [ -x "$HF" ]; then
  (cd "$HERE" && source launch/env.sh && smt_environment requirements.lock)
fi
for name in ${WANTED_BENCHMARKS//,/ }; do
  read -r name repository revision licence <<< "$(entry "$name" "${BENCHMARKS[@]}")"
  echo "# $name: $repository at $revision, licence: ${licence//-/ }"
  benchmark "$name" "$repository" "$revision"
done
for name in ${WANTED_MODELS//,/ }; do
  read -r name repository revision licence <<< "$(entry "$name" "${MODELS[@]}")"
  echo "# $name: $repository at $revision, licence: $licence"
  model "$name" "$repository" "$revision" "$licence"
done
